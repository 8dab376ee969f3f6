package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.moe4j.AdaptiveBalance;
import org.moe4j.CapacityRule;
import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.LinearRouter;
import org.moe4j.MoeConfig;
import org.moe4j.Phase;
import org.moe4j.Role;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.NormKind;
import org.moe4j.models.RopeConfig;

/**
 * The families of Hugging Face checkpoints that a decoder can be saved as. The first one whose
 * architecture computes exactly what the decoder computes is taken; what no family expresses is
 * saved under our own.
 */
public enum HfLayout {
  /** Softmax routing, renormalised or not, and norms on whole queries and keys. */
  OLMOE,
  /** Renormalised softmax routing, no norms on queries and keys. */
  MIXTRAL,
  /** Everything a {@link DecoderConfig} can say, under our own names. */
  MOE4J;

  /**
   * Which layout a configuration gets.
   *
   * @param layout the one to use
   * @param obstacles for each family that was passed over, why
   */
  public record Choice(HfLayout layout, Map<HfLayout, List<String>> obstacles) {
    /** One line for people, for instance for a log. */
    public String explanation() {
      StringBuilder line = new StringBuilder("saved as " + layout.modelType());
      obstacles.forEach(
          (other, why) ->
              line.append("; not ")
                  .append(other.modelType())
                  .append(": ")
                  .append(String.join(", ", why)));
      return line.toString();
    }
  }

  /** The {@code model_type} in {@code config.json}. */
  public String modelType() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The family's names and fields. */
  Family family() {
    return switch (this) {
      case OLMOE -> new OlmoeFamily();
      case MIXTRAL -> new MixtralFamily();
      case MOE4J -> new Moe4jFamily();
    };
  }

  /** Chooses the layout of a configuration. */
  public static Choice choose(DecoderConfig config) {
    return choose(layout -> layout.obstacles(config));
  }

  /** Chooses the layout of a model, of which nothing may be lost: state neither. */
  public static Choice choose(Decoder model) {
    return choose(layout -> layout.obstacles(model));
  }

  private static Choice choose(Function<HfLayout, List<String>> obstaclesOf) {
    Map<HfLayout, List<String>> obstacles = new EnumMap<>(HfLayout.class);
    for (HfLayout layout : values()) {
      List<String> why = obstaclesOf.apply(layout);
      if (why.isEmpty()) {
        return new Choice(layout, obstacles);
      }
      obstacles.put(layout, why);
    }
    throw new AssertionError("our own layout has no obstacles");
  }

  /** Why this family cannot express {@code config}; empty if it can. */
  public List<String> obstacles(DecoderConfig config) {
    return switch (this) {
      case OLMOE -> olmoe(config);
      case MIXTRAL -> mixtral(config);
      case MOE4J -> List.of();
    };
  }

  /**
   * Why this family cannot hold {@code model}: its configuration, a router that is more than the
   * gating it shares with the family, and whatever the family has no name for.
   */
  private List<String> obstacles(Decoder model) {
    List<String> why = obstacles(model.config());
    if (!why.isEmpty() || this == MOE4J) {
      return why;
    }
    List<String> routers =
        model.blocks().stream()
            .flatMap(block -> block.moe().stream())
            .filter(moe -> !(moe.router() instanceof LinearRouter))
            .map(moe -> "router " + moe.config().router())
            .distinct()
            .toList();
    if (!routers.isEmpty()) {
      return routers;
    }
    Set<String> stored =
        family().names(model, ExpertLayout.RELEASED).list().stream()
            .flatMap(tensor -> tensor.parts().stream())
            .map(part -> part.parameter().name())
            .collect(Collectors.toSet());
    return model.parameters().all().stream()
        .filter(p -> !stored.contains(p.name()))
        .map(p -> (p.role() instanceof Role.State ? "the state " : "the parameter ") + p.name())
        .toList();
  }

  private static List<String> olmoe(DecoderConfig c) {
    List<String> why = sparseLlama(c, List.of(Gating.SOFTMAX_TOP_K, Gating.MIXTRAL));
    if (!(c.attention() instanceof GroupedQueryConfig a)) {
      return why;
    }
    if (a.qkNorm() != GroupedQueryConfig.QkNorm.WHOLE) {
      why.add("no norms on whole queries and keys");
    }
    if (a.queryWidth() != c.hidden()) {
      why.add("heads times head_dim is not the hidden size");
    }
    return why;
  }

  private static List<String> mixtral(DecoderConfig c) {
    // Softmax over the chosen alone is the same function as renormalising a softmax over all.
    List<String> why = sparseLlama(c, List.of(Gating.MIXTRAL, Gating.TOP_K_SOFTMAX));
    if (c.attention() instanceof GroupedQueryConfig a
        && a.qkNorm() != GroupedQueryConfig.QkNorm.NONE) {
      why.add("norms on queries and keys");
    }
    return why;
  }

  /** What both families need: Llama's block with the same SwiGLU experts in every layer. */
  private static List<String> sparseLlama(DecoderConfig c, List<Gating> gatings) {
    List<String> why = new ArrayList<>();
    if (c.norm() != NormKind.RMS) {
      why.add("LayerNorm");
    }
    if (!plain(c)) {
      why.add("attention or residuals of another kind");
    }
    List<MoeConfig> moe = c.feedForward().stream().flatMap(f -> f.sparse().stream()).toList();
    if (moe.size() != c.layers()) {
      int dense = c.layers() - moe.size();
      why.add(dense + (dense == 1 ? " dense layer" : " dense layers"));
      return why;
    }
    if (moe.stream().map(HfLayout::shape).distinct().count() > 1) {
      why.add("layers differ");
    }
    if (moe.stream().anyMatch(m -> !m.form().equals(ExpertForm.SWIGLU))) {
      why.add("experts are not SwiGLU without biases");
    }
    if (moe.stream().anyMatch(m -> m.sharedWidth() > 0)) {
      why.add("a shared expert");
    }
    if (moe.stream().anyMatch(MoeConfig::outputBias)) {
      why.add("a bias on the sparse layer's output");
    }
    if (moe.stream().anyMatch(HfLayout::adapts)) {
      why.add("balance coefficients that adapt");
    }
    if (moe.stream().anyMatch(HfLayout::drops)) {
      why.add("a capacity at evaluation");
    }
    why.addAll(routing(moe.getFirst(), gatings));
    return why;
  }

  /** Llama's own attention and residuals, whatever its norms. */
  private static boolean plain(DecoderConfig c) {
    return c.attention() instanceof GroupedQueryConfig a
        && a.equals(
            GroupedQueryConfig.of(
                    a.heads(), a.kvHeads(), a.headDim(), RopeConfig.of(a.rope().theta()))
                .withQkNorm(a.qkNorm()))
        && c.windows().isEmpty()
        && c.placement() == DecoderConfig.NormPlacement.PRE
        && c.finalNormEps() == c.normEps()
        && c.multipliers().equals(DecoderConfig.Multipliers.NONE)
        && !c.headBias();
  }

  /** What these families say once for all layers. */
  private static List<Object> shape(MoeConfig m) {
    return List.of(m.experts(), m.topK(), m.expertWidth(), m.gating());
  }

  /** With state beside the router's. */
  private static boolean adapts(MoeConfig m) {
    return m.balance().stream()
        .anyMatch(t -> t.loss() instanceof AdaptiveBalance && t.coefficient() > 0);
  }

  private static boolean drops(MoeConfig m) {
    return !(m.capacity().rule(Phase.EVAL) instanceof CapacityRule.Unlimited);
  }

  private static List<String> routing(MoeConfig moe, List<Gating> gatings) {
    Optional<Gating> gating = moe.gating();
    if (gating.isEmpty()) {
      return List.of("router " + moe.router());
    }
    // What is rounded below F32 is the reader's matter.
    if (!gatings.contains(gating.get().with(Gating.Rounding.NONE))) {
      return List.of("its gating");
    }
    boolean bias = "true".equals(String.valueOf(moe.routerOptions().get("bias")));
    return bias ? List.of("a bias on the router's logits") : List.of();
  }
}
