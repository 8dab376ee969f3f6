package org.moe4j.engine;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.gguf.Metadata;

/**
 * The oracle: a model evaluated in double precision on its dequantised weights, one plain loop
 * after the other, keys and values alone rounded to half precision, as the cache holds them. It
 * shares nothing with the engine but the reader.
 */
final class Reference {
  private final Map<String, float[]> tensors = new HashMap<>();
  private final Metadata metadata;
  private final String arch;
  private final int width;
  private final int heads;
  private final int keyHeads;
  private final int head;
  private final int hidden;
  private final int experts;
  private final int used;

  Reference(Path path) {
    try (GgufFile file = GgufFile.open(path)) {
      for (GgufTensor t : file.tensors()) {
        tensors.put(t.name(), t.floats());
      }
      metadata = file.metadata();
    }
    arch = metadata.text("general.architecture").orElseThrow();
    width = number("embedding_length");
    heads = number("attention.head_count");
    keyHeads = number("attention.head_count_kv");
    head = number("attention.key_length");
    hidden = number("feed_forward_length");
    experts = (int) metadata.whole(arch + ".expert_count").orElse(0);
    used = (int) metadata.whole(arch + ".expert_used_count").orElse(0);
  }

  private int number(String key) {
    return metadata.require(arch + "." + key, 1, 1 << 20);
  }

  /** Logits after each token. */
  double[][] logits(int[] tokens) {
    int n = tokens.length;
    double[][] x = new double[n][width];
    for (int t = 0; t < n; t++) {
      for (int d = 0; d < width; d++) {
        x[t][d] = tensors.get("token_embd.weight")[tokens[t] * width + d];
      }
    }
    for (int layer = 0; layer < number("block_count"); layer++) {
      String p = "blk." + layer + ".";
      double[][] q = new double[n][];
      double[][] k = new double[n][];
      double[][] v = new double[n][];
      for (int t = 0; t < n; t++) {
        double[] h = norm(x[t], 0, width, p + "attn_norm.weight");
        q[t] =
            prepared(times(p + "attn_q.weight", 0, heads * head, h), p + "attn_q_norm.weight", t);
        k[t] =
            prepared(
                times(p + "attn_k.weight", 0, keyHeads * head, h), p + "attn_k_norm.weight", t);
        v[t] = times(p + "attn_v.weight", 0, keyHeads * head, h);
        halve(k[t]);
        halve(v[t]);
        double[] attended = new double[heads * head];
        for (int a = 0; a < heads; a++) {
          attend(q[t], k, v, t, a, attended);
        }
        add(x[t], times(p + "attn_output.weight", 0, width, attended), 1);
      }
      for (int t = 0; t < n; t++) {
        feedForward(p, x[t]);
      }
    }
    String output = tensors.containsKey("output.weight") ? "output.weight" : "token_embd.weight";
    double[][] all = new double[n][];
    for (int t = 0; t < n; t++) {
      double[] h = norm(x[t], 0, width, "output_norm.weight");
      all[t] = times(output, 0, tensors.get(output).length / width, h);
    }
    return all;
  }

  private void feedForward(String p, double[] x) {
    double[] h = norm(x, 0, width, p + "ffn_norm.weight");
    if (experts == 0) {
      add(x, expert(p, ".weight", 0, h), 1);
      return;
    }
    double[] z = times(p + "ffn_gate_inp.weight", 0, experts, h);
    double[] e = softmax(z);
    int[] best =
        IntStream.range(0, experts)
            .boxed()
            .sorted((a, b) -> Double.compare(e[b], e[a]))
            .limit(used)
            .mapToInt(i -> i)
            .toArray();
    double sum = IntStream.of(best).mapToDouble(i -> e[i]).sum();
    double[] all = new double[width];
    for (int i : best) {
      add(all, expert(p, "_exps.weight", i, h), e[i] / (arch.equals("olmoe") ? 1 : sum));
    }
    add(x, all, 1);
  }

  private double[] expert(String p, String suffix, int e, double[] h) {
    double[] gate = times(p + "ffn_gate" + suffix, e * hidden, hidden, h);
    double[] up = times(p + "ffn_up" + suffix, e * hidden, hidden, h);
    for (int i = 0; i < hidden; i++) {
      gate[i] = gate[i] / (1 + Math.exp(-gate[i])) * up[i];
    }
    return times(p + "ffn_down" + suffix, e * width, width, gate);
  }

  private void attend(double[] q, double[][] k, double[][] v, int t, int a, double[] to) {
    int shared = a / (heads / keyHeads);
    double[] scores = new double[t + 1];
    for (int j = 0; j <= t; j++) {
      for (int d = 0; d < head; d++) {
        scores[j] += q[a * head + d] * k[j][shared * head + d] / Math.sqrt(head);
      }
    }
    double[] weights = softmax(scores);
    for (int j = 0; j <= t; j++) {
      for (int d = 0; d < head; d++) {
        to[a * head + d] += weights[j] * v[j][shared * head + d];
      }
    }
  }

  private double[] prepared(double[] rows, String norm, int position) {
    double[] x = rows;
    if (tensors.containsKey(norm)) {
      int size = tensors.get(norm).length;
      x = new double[rows.length];
      for (int at = 0; at < x.length; at += size) {
        System.arraycopy(norm(rows, at, size, norm), 0, x, at, size);
      }
    }
    double[] turned = x.clone();
    for (int at = 0; at < x.length; at += head) {
      for (int i = 0; i < head / 2; i++) {
        double angle = position * Math.pow(10000, -2.0 * i / head);
        int a = at + (arch.equals("llama") ? 2 * i : i);
        int b = at + (arch.equals("llama") ? 2 * i + 1 : i + head / 2);
        turned[a] = x[a] * Math.cos(angle) - x[b] * Math.sin(angle);
        turned[b] = x[a] * Math.sin(angle) + x[b] * Math.cos(angle);
      }
    }
    return turned;
  }

  private double[] norm(double[] x, int at, int n, String scales) {
    double square = 0;
    for (int i = 0; i < n; i++) {
      square += x[at + i] * x[at + i] / n;
    }
    double[] y = new double[n];
    for (int i = 0; i < n; i++) {
      y[i] = x[at + i] / Math.sqrt(square + 1e-5) * tensors.get(scales)[i];
    }
    return y;
  }

  private double[] times(String name, int from, int rows, double[] x) {
    float[] w = tensors.get(name);
    double[] y = new double[rows];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < x.length; c++) {
        y[r] += w[(from + r) * x.length + c] * x[c];
      }
    }
    return y;
  }

  /** What is kept of keys and values. */
  private static void halve(double[] x) {
    for (int i = 0; i < x.length; i++) {
      x[i] = Float.float16ToFloat(Float.floatToFloat16((float) x[i]));
    }
  }

  private static void add(double[] x, double[] y, double factor) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i] * factor;
    }
  }

  private static double[] softmax(double[] z) {
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
