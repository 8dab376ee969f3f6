package org.moe4j.train.inspect;

import java.util.Optional;
import org.moe4j.Capacity;
import org.moe4j.CapacityRule;
import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.GroupLimit;
import org.moe4j.Grouping;
import org.moe4j.MoeConfig;
import org.moe4j.Renormalise;
import tools.jackson.databind.node.ObjectNode;

/** A sparse layer, told: its experts, how tokens come to them, and what is dropped. */
public final class RoutingWords {
  private RoutingWords() {}

  /** For instance {@code top 2 of 8, width 14,336, gated silu; none shared}. */
  public static String experts(MoeConfig moe) {
    String shared =
        moe.sharedWidth() == 0
            ? "none shared"
            : "shared of width "
                + Figures.of(moe.sharedWidth())
                + (moe.sharedForm().equals(moe.form()) ? "" : ", " + form(moe.sharedForm()))
                + (moe.sharedGate() ? ", weighed by a sigmoid gate" : "");
    return "top "
        + moe.topK()
        + " of "
        + Figures.of(moe.experts())
        + ", width "
        + Figures.of(moe.expertWidth())
        + ", "
        + form(moe.form())
        + "; "
        + shared
        + (moe.outputBias() ? "; a bias on their sum" : "");
  }

  /** For instance {@code gated silu} or {@code relu with biases}. */
  static String form(ExpertForm form) {
    return (form.gated() ? "gated " : "")
        + Figures.words(form.activation())
        + (form.clamp().limit() < Double.POSITIVE_INFINITY
            ? " clamped at " + Figures.of(form.clamp().limit())
            : "")
        + (form.biases() ? " with biases" : "");
  }

  /** From logits to weights; of a router with rules of its own, its name and description. */
  public static String routing(MoeConfig moe) {
    return moe.gating()
        .map(g -> gating(g, moe.topK()))
        .orElseGet(() -> moe.router() + ": " + moe.routerEntry().description());
  }

  private static String gating(Gating g, int k) {
    String score =
        switch (g.score()) {
          case SOFTMAX -> "softmax";
          case SIGMOID -> "sigmoid";
          case RAW -> "the logits themselves";
          case Z_SCORED -> "softmax of logits with a fixed deviation";
        };
    String factor =
        g.logitScale() == 1
            ? ""
            : (g.score() == Gating.Score.Z_SCORED ? " of " : " of logits times ")
                + Figures.of(g.logitScale());
    boolean first = g.order() == Gating.Order.SCORE_THEN_SELECT;
    String bias = g.selectionBias() ? " by " + (first ? "score" : "logit") + " + bias" : "";
    String chosen =
        first
            ? score + factor + " over all experts, then the best " + (k == 1 ? "one" : k) + bias
            : "the largest " + (k == 1 ? "logit" : k + " logits") + bias + ", then " + score + factor + " of " + (k == 1 ? "it" : "these");
    return chosen
        + groups(g.groups())
        + "; weights "
        + renormalise(g.renormalise())
        + (g.scale() == 1 ? "" : ", times " + Figures.of(g.scale()))
        + (g.weightOn() == Gating.WeightOn.INPUT ? ", on the experts' input" : "");
  }

  private static String groups(GroupLimit limit) {
    if (limit.groups() == 1 || limit.kept() == limit.groups()) {
      return "";
    }
    return " within "
        + limit.kept()
        + " of "
        + limit.groups()
        + " groups (rated by their "
        + (limit.score() == GroupLimit.GroupScore.MAX ? "best" : "two best together")
        + ")";
  }

  private static String renormalise(Renormalise r) {
    String norm = r.norm() == 1 ? "sum" : Figures.of(r.norm()) + "-norm";
    return switch (r.when()) {
      case NO -> "as they are";
      case BEFORE_DROP -> "divided by their " + norm;
      case AFTER_DROP -> "divided by the " + norm + " of those served";
    };
  }

  /** What experts drop when a model is used; empty if nothing. */
  public static Optional<String> capacity(Capacity capacity) {
    String share = " times its even share of the tokens of ";
    String most =
        switch (capacity.eval()) {
          case CapacityRule.Unlimited u -> "";
          case CapacityRule.Fixed f -> Figures.of((double) f.slots()) + " tokens of ";
          case CapacityRule.Fraction f -> Figures.of(100 * f.fraction()) + "% of the tokens of ";
          case CapacityRule.WholeTokens w -> Figures.of(w.factor()) + share;
          case CapacityRule.Factor f -> Figures.of(f.factor()) + share;
        };
    return most.isEmpty()
        ? Optional.empty()
        : Optional.of("an expert serves at most " + most + group(capacity.group()));
  }

  private static String group(Grouping group) {
    return switch (group.kind()) {
      case BATCH -> "a batch";
      case SEQUENCE -> "a sequence";
      case TOKENS -> group.size() + " in a row";
      case TOKENS_AT_MOST -> "a group of up to " + group.size();
    };
  }

  /**
   * Adds what is told above as fields.
   *
   * @param capacity of the layer, wherever it is configured
   */
  public static void write(MoeConfig moe, Capacity capacity, ObjectNode json) {
    json.put("experts", moe.experts());
    json.put("top_k", moe.topK());
    json.put("expert_ffn", moe.expertWidth());
    write(moe.form(), json.putObject("form"));
    json.put("shared_ffn", moe.sharedWidth());
    json.put("shared_gate", moe.sharedGate());
    json.put("output_bias", moe.outputBias());
    json.put("router", moe.router());
    json.put("gating", routing(moe));
    moe.gating().ifPresent(g -> write(g, json));
    json.put("capacity", capacity(capacity).orElse("none"));
  }

  static void write(ExpertForm form, ObjectNode json) {
    json.put("activation", Figures.field(form.activation()));
    json.put("gated", form.gated());
    json.put("biases", form.biases());
    if (form.clamp().limit() < Double.POSITIVE_INFINITY) {
      json.put("clamp", form.clamp().limit());
    }
  }

  private static void write(Gating g, ObjectNode json) {
    json.put("score", Figures.field(g.score()));
    json.put("logit_scale", g.logitScale());
    json.put("order", Figures.field(g.order()));
    json.put("selection_bias", g.selectionBias());
    json.put("groups", g.groups().groups());
    json.put("kept_groups", g.groups().kept());
    json.put("group_score", Figures.field(g.groups().score()));
    json.put("renormalise", Figures.field(g.renormalise().when()));
    json.put("norm", g.renormalise().norm());
    json.put("scale", g.scale());
    json.put("weight_on", Figures.field(g.weightOn()));
  }
}
