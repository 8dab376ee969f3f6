package org.moe4j.engine;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.gguf.Metadata;

/**
 * The oracle: a model evaluated in double precision on its dequantised weights, one plain loop
 * after the other, what is cached alone rounded to half precision. It shares nothing with the
 * engine but the reader.
 */
final class Reference {
  private final Map<String, float[]> tensors = new HashMap<>();
  private final Metadata metadata;
  final String arch;
  final int width;

  Reference(Path path) {
    try (GgufFile file = GgufFile.open(path)) {
      for (GgufTensor t : file.tensors()) {
        tensors.put(t.name(), t.floats());
      }
      metadata = file.metadata();
    }
    arch = metadata.text("general.architecture").orElseThrow();
    width = whole("embedding_length", 0);
  }

  int whole(String key, int otherwise) {
    return (int) metadata.whole(arch + "." + key).orElse(otherwise);
  }

  double number(String key, double otherwise) {
    return metadata.number(arch + "." + key).orElse(otherwise);
  }

  String text(String key, String otherwise) {
    return metadata.text(arch + "." + key).orElse(otherwise);
  }

  /** Logits after each token. */
  double[][] logits(int[] tokens) {
    int n = tokens.length;
    double[][] x = new double[n][width];
    for (int t = 0; t < n; t++) {
      for (int d = 0; d < width; d++) {
        x[t][d] = tensor("token_embd.weight")[tokens[t] * width + d];
      }
      add(x[t], x[t].clone(), number("embedding_scale", 1) - 1);
    }
    ReferenceAttention attention = new ReferenceAttention(this);
    double scale = number("residual_scale", 1);
    for (int i = 0; i < whole("block_count", 0) - whole("nextn_predict_layers", 0); i++) {
      String p = "blk." + i + ".";
      double[][] h = new double[n][];
      for (int t = 0; t < n; t++) {
        h[t] = norm(x[t], 0, width, p + "attn_norm");
      }
      double[][] seen = attention.run(i, h);
      for (int t = 0; t < n; t++) {
        add(x[t], times(p + "attn_output", 0, width, seen[t]), scale);
        String norm = has(p + "ffn_norm.weight") ? "ffn_norm" : "post_attention_norm";
        add(x[t], feedForward(p, norm(x[t], 0, width, p + norm)), scale);
      }
    }
    String output = has("output.weight") ? "output" : "token_embd";
    double[][] all = new double[n][];
    for (int t = 0; t < n; t++) {
      double[] h = norm(x[t], 0, width, "output_norm");
      all[t] = times(output, 0, tensor(output + ".weight").length / width, h);
      add(all[t], all[t].clone(), 1 / number("logit_scale", 1) - 1);
    }
    return all;
  }

  private double[] feedForward(String p, double[] h) {
    if (has(p + "ffn_gate.weight")) {
      return network(p, "", 0, whole("feed_forward_length", 0), h);
    }
    int experts = whole("expert_count", 0);
    double[] z = times(p + "ffn_gate_inp", 0, experts, h);
    double[] weights = new double[experts];
    int gating = Set.of("glm4moe", "dots1", "minimax-m2").contains(arch) ? 2 : 1;
    boolean sigmoid = whole("expert_gating_func", gating) == 2;
    double[] scores = sigmoid ? null : softmax(z);
    double[] ranks = new double[experts];
    for (int e = 0; e < experts; e++) {
      weights[e] = sigmoid ? 1 / (1 + Math.exp(-z[e])) : scores[e];
      ranks[e] = weights[e];
      if (has(p + "exp_probs_b.bias")) {
        ranks[e] += tensor(p + "exp_probs_b.bias")[e];
      }
    }
    int groups = whole("expert_group_count", 1);
    int size = experts / groups;
    int[] best =
        IntStream.of(
                best(
                    groupScores(ranks, groups, sigmoid ? 2 : 1),
                    whole("expert_group_used_count", 1)))
            .flatMap(g -> IntStream.range(g * size, (g + 1) * size))
            .boxed()
            .sorted((a, b) -> Double.compare(ranks[b], ranks[a]))
            .limit(whole("expert_used_count", 1))
            .mapToInt(e -> e)
            .toArray();
    double sum = IntStream.of(best).mapToDouble(e -> weights[e]).sum();
    double factor = normalised() ? 1 / sum : 1;
    double[] all = new double[width];
    int hidden = whole("expert_feed_forward_length", 0);
    for (int e : best) {
      double weight = weights[e] * factor * number("expert_weights_scale", 1);
      add(all, network(p, "_exps", e, hidden, h), weight);
    }
    if (has(p + "ffn_gate_shexp.weight")) {
      int rows = tensor(p + "ffn_gate_shexp.weight").length / width;
      boolean gated = has(p + "ffn_gate_inp_shexp.weight");
      double gate = gated ? times(p + "ffn_gate_inp_shexp", 0, 1, h)[0] : 0;
      add(all, network(p, "_shexp", 0, rows, h), gated ? 1 / (1 + Math.exp(-gate)) : 1);
    }
    return all;
  }

  private boolean normalised() {
    return metadata
        .flag(arch + ".expert_weights_norm")
        .orElse(!Set.of("olmoe", "qwen2moe", "deepseek2", "deepseek", "dots1").contains(arch));
  }

  private static double[] groupScores(double[] ranks, int groups, int counted) {
    int size = ranks.length / groups;
    double[] scores = new double[groups];
    for (int g = 0; g < groups; g++) {
      double[] group = new double[size];
      System.arraycopy(ranks, g * size, group, 0, size);
      for (int e : best(group, counted)) {
        scores[g] += group[e];
      }
    }
    return scores;
  }

  private static int[] best(double[] scores, int count) {
    return IntStream.range(0, scores.length)
        .boxed()
        .sorted((a, b) -> Double.compare(scores[b], scores[a]))
        .limit(count)
        .mapToInt(i -> i)
        .toArray();
  }

  private double[] network(String p, String suffix, int e, int hidden, double[] h) {
    double[] gate = times(p + "ffn_gate" + suffix, e * hidden, hidden, h);
    double[] up = times(p + "ffn_up" + suffix, e * hidden, hidden, h);
    for (int i = 0; i < hidden; i++) {
      if (arch.equals("gpt-oss")) {
        double g = Math.min(gate[i], 7);
        gate[i] = g / (1 + Math.exp(-1.702 * g)) * (Math.clamp(up[i], -7, 7) + 1);
      } else {
        gate[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
      }
    }
    return times(p + "ffn_down" + suffix, e * width, width, gate);
  }

  boolean has(String name) {
    return tensors.containsKey(name);
  }

  float[] tensor(String name) {
    return tensors.get(name);
  }

  double[] norm(double[] x, int at, int n, String name) {
    double square = 0;
    for (int i = 0; i < n; i++) {
      square += x[at + i] * x[at + i] / n;
    }
    float[] scales = tensor(name + ".weight");
    float[] shifts = tensors.getOrDefault(name + ".bias", new float[n]);
    double[] y = new double[n];
    for (int i = 0; i < n; i++) {
      y[i] = x[at + i] / Math.sqrt(square + 1e-5) * scales[i] + shifts[i];
    }
    return y;
  }

  /** Product with {@code rows} rows of a matrix from row {@code from} on, plus their bias. */
  double[] times(String name, int from, int rows, double[] x) {
    float[] w = tensor(name + ".weight");
    float[] bias = tensors.getOrDefault(name + ".bias", new float[from + rows]);
    double[] y = new double[rows];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < x.length; c++) {
        y[r] += w[(from + r) * x.length + c] * x[c];
      }
      y[r] += bias[from + r];
    }
    return y;
  }

  static void add(double[] x, double[] y, double factor) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i] * factor;
    }
  }

  static double[] softmax(double[] z) {
    double most = Double.NEGATIVE_INFINITY;
    for (double a : z) {
      most = Math.max(most, a);
    }
    double sum = 0;
    double[] e = new double[z.length];
    for (int i = 0; i < z.length; i++) {
      e[i] = Math.exp(z[i] - most);
      sum += e[i];
    }
    for (int i = 0; i < z.length; i++) {
      e[i] /= sum;
    }
    return e;
  }
}
