package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.StoredTensors;

/**
 * What the names and shapes of a Switch checkpoint's tensors say of the model, whatever its {@code
 * config.json} says: that of google/switch-c-2048 is wrong (S07).
 *
 * @param vocab V
 * @param hidden d
 * @param heads H
 * @param inner H*D
 * @param buckets of relative positions
 * @param width of all feed-forward networks
 * @param gated whether these have a second up projection
 * @param routerBias whether routers have a bias
 * @param encoder experts of each encoder block; 0 for a dense one
 * @param decoder the same of the decoder
 * @param head the name of the output projection, if it is on disk
 */
record SwitchTensors(
    int vocab,
    int hidden,
    int heads,
    int inner,
    int buckets,
    int width,
    boolean gated,
    boolean routerBias,
    List<Integer> encoder,
    List<Integer> decoder,
    Optional<String> head) {
  /** The embedding of both sides. */
  static final String SHARED = "shared.weight";

  /** Other names of {@link #SHARED}, under which files may repeat it. */
  static final List<String> ALIASES =
      List.of("encoder.embed_tokens.weight", "decoder.embed_tokens.weight");

  /** The names of an output projection; the second is that of the files converted from T5X. */
  static final List<String> HEADS = List.of("lm_head.weight", "decoder.lm_head.weight");

  private static final Pattern BLOCK =
      Pattern.compile("(encoder|decoder)\\.block\\.(\\d{1,4})\\..+");
  private static final Pattern EXPERT =
      Pattern.compile("(.+)\\.mlp\\.experts\\.expert_(\\d{1,7})\\..+");

  /**
   * Reads the names and some shapes.
   *
   * @throws MoeException if tensors are missing without which nothing can be said
   */
  static SwitchTensors of(StoredTensors weights) {
    Map<String, Integer> experts = new HashMap<>();
    Map<String, TreeMap<Integer, Boolean>> blocks =
        Map.of("encoder", new TreeMap<>(), "decoder", new TreeMap<>());
    for (String name : weights.names()) {
      Matcher block = BLOCK.matcher(name);
      if (block.matches()) {
        blocks.get(block.group(1)).put(Integer.parseInt(block.group(2)), true);
        Matcher expert = EXPERT.matcher(name);
        if (expert.matches()) {
          experts.merge(expert.group(1), Integer.parseInt(expert.group(2)) + 1, Math::max);
        }
      }
    }
    List<Integer> encoder = stack(weights, "encoder", blocks.get("encoder"), experts);
    List<Integer> decoder = stack(weights, "decoder", blocks.get("decoder"), experts);
    String self = SwitchNames.block("encoder", 0) + "layer.0.SelfAttention.";
    int[] shared = matrix(weights, SHARED);
    int[] bias = matrix(weights, self + "relative_attention_bias.weight");
    int[] q = matrix(weights, self + "q.weight");
    String ffn = SwitchNames.block("encoder", 0) + "layer.1.mlp.";
    String first = encoder.getFirst() > 0 ? ffn + "experts.expert_0." : ffn;
    boolean gated = weights.names().contains(first + "wi_0.weight");
    int[] up = matrix(weights, first + (gated ? "wi_0.weight" : "wi.weight"));
    return new SwitchTensors(
        shared[0],
        shared[1],
        bias[1],
        q[0],
        bias[0],
        up[0],
        gated,
        weights.names().stream().anyMatch(n -> n.endsWith(".mlp.router.classifier.bias")),
        encoder,
        decoder,
        HEADS.stream().filter(weights.names()::contains).findFirst());
  }

  private static List<Integer> stack(
      StoredTensors weights,
      String side,
      TreeMap<Integer, Boolean> indices,
      Map<String, Integer> experts) {
    if (indices.isEmpty()) {
      throw new MoeException(weights.path() + ": no tensors of " + side + " blocks");
    }
    if (indices.lastKey() != indices.size() - 1) {
      throw new MoeException(
          weights.path()
              + ": the tensors have "
              + indices.size()
              + " "
              + side
              + " blocks, numbered up to "
              + indices.lastKey()
              + "; is a shard missing?");
    }
    List<Integer> counts = new ArrayList<>();
    for (int i : indices.keySet()) {
      String layer = SwitchNames.block(side, i) + SwitchNames.feedForward(side);
      String gate = layer + SwitchNames.ROUTER + "weight";
      int named = experts.getOrDefault(layer, 0);
      int told = weights.names().contains(gate) ? matrix(weights, gate)[0] : named;
      if (Math.max(told, named) > weights.names().size()) {
        throw new MoeException(
            weights.path()
                + ": "
                + layer
                + " has "
                + Math.max(told, named)
                + " experts, but there are "
                + weights.names().size()
                + " tensors");
      }
      counts.add(told);
    }
    return counts;
  }

  private static int[] matrix(StoredTensors weights, String name) {
    if (!weights.names().contains(name)) {
      throw new MoeException(weights.path() + ": 1 tensor missing: " + name);
    }
    List<Long> shape = weights.describe(name).shape();
    boolean fits =
        shape.size() == 2 && shape.stream().allMatch(n -> n >= 1 && n <= Integer.MAX_VALUE);
    if (!fits) {
      throw new MoeException(
          weights.path() + ": tensor " + name + " is " + shape + ", must be a matrix");
    }
    return shape.stream().mapToInt(Math::toIntExact).toArray();
  }
}
