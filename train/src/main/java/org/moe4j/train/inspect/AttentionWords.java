package org.moe4j.train.inspect;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.AttentionExpertsConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.LatentConfig;
import tools.jackson.databind.node.ObjectNode;

/** A decoder's attention, told. */
final class AttentionWords {
  private AttentionWords() {}

  /** What there is, then the rotary embedding, then what is kept of a token. */
  static List<String> of(AttentionConfig attention) {
    String kind =
        switch (attention) {
          case GroupedQueryConfig g -> groupedQuery(g);
          case LatentConfig l -> latent(l);
          case AttentionExpertsConfig e ->
              "mixture of attention heads (MoA): top "
                  + e.topK()
                  + " of "
                  + e.experts()
                  + " experts with "
                  + e.kvHeads()
                  + " query heads of "
                  + e.headDim()
                  + " each; keys and values shared by all";
        };
    return List.of(
        kind,
        RopeWords.of(attention.rope(), attention.ropeDim()),
        "cache: " + Figures.of((double) cached(attention)) + " numbers for a token in each layer");
  }

  private static String groupedQuery(GroupedQueryConfig g) {
    List<String> parts = new ArrayList<>();
    parts.add(
        g.kvHeads() == g.heads()
            ? "multi-head: " + g.heads() + " heads of " + g.headDim()
            : "grouped-query (GQA): "
                + g.heads()
                + " heads of "
                + g.headDim()
                + ", "
                + g.kvHeads()
                + " of keys and values");
    switch (g.qkNorm()) {
      case NONE -> {}
      case WHOLE -> parts.add("RMS norm on whole queries and keys");
      case PER_HEAD -> parts.add("RMS norm on each head's queries and keys");
      case PER_HEAD_ROTATED ->
          parts.add("RMS norm on each head's queries and keys, after the rotation");
    }
    if (g.clip() != 0) {
      parts.add("queries, keys and values clipped at " + Figures.of(g.clip()));
    }
    if (g.sinks()) {
      parts.add("a learned sink in each head's softmax");
    }
    biases(g.qkvBias(), g.outBias(), parts);
    scale(g.scale(), parts);
    return String.join("; ", parts);
  }

  private static String latent(LatentConfig l) {
    List<String> parts = new ArrayList<>();
    parts.add(
        "latent (MLA): "
            + l.heads()
            + " heads of "
            + l.plainDim()
            + " + "
            + l.ropeDim()
            + " rotated, values of "
            + l.valueDim());
    parts.add(
        "rank "
            + l.kvRank()
            + " of keys and values, "
            + (l.queryRank() == 0 ? "full queries" : l.queryRank() + " of queries"));
    if (l.bias()) {
      parts.add("biases on compression and output");
    }
    scale(l.scale(), parts);
    return String.join("; ", parts);
  }

  private static void biases(boolean in, boolean out, List<String> parts) {
    if (in || out) {
      parts.add("biases on " + (in ? "queries, keys, values" : "") + and(in && out, out));
    }
  }

  private static String and(boolean both, boolean out) {
    return (both ? " and " : "") + (out ? "output" : "");
  }

  private static void scale(double scale, List<String> parts) {
    if (scale != 0) {
      parts.add("scores times " + Figures.of(scale));
    }
  }

  /** Numbers that a cache keeps of a token in a layer. */
  private static long cached(AttentionConfig attention) {
    AttentionConfig.Cached kept = attention.cached();
    return (long) kept.heads() * (kept.keys() + kept.values());
  }

  static void write(AttentionConfig attention, ObjectNode json) {
    json.put(
        "kind",
        switch (attention) {
          case GroupedQueryConfig g -> "grouped_query";
          case LatentConfig l -> "latent";
          case AttentionExpertsConfig e -> "attention_experts";
        });
    json.put("heads", attention.heads());
    switch (attention) {
      case GroupedQueryConfig g -> {
        json.put("kv_heads", g.kvHeads()).put("head_dim", g.headDim());
        json.put("qk_norm", Figures.field(g.qkNorm()));
        json.put("qkv_bias", g.qkvBias()).put("out_bias", g.outBias());
        json.put("clip", g.clip()).put("sinks", g.sinks());
        json.put("scale", g.scale() == 0 ? 1 / Math.sqrt(g.headDim()) : g.scale());
      }
      case LatentConfig l -> {
        json.put("query_rank", l.queryRank()).put("kv_rank", l.kvRank());
        json.put("plain_dim", l.plainDim()).put("rope_dim", l.ropeDim());
        json.put("value_dim", l.valueDim()).put("bias", l.bias());
        json.put("scale", l.scale() == 0 ? 1 / Math.sqrt(l.queryDim()) : l.scale());
      }
      case AttentionExpertsConfig e -> {
        json.put("experts", e.experts()).put("top_k", e.topK());
        json.put("kv_heads", e.kvHeads()).put("head_dim", e.headDim());
      }
    }
    json.put("cache_per_token", cached(attention));
    RopeWords.write(attention.rope(), attention.ropeDim(), json.putObject("rope"));
  }
}
