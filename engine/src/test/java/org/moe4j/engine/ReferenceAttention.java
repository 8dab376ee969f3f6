package org.moe4j.engine;

import java.util.Arrays;
import java.util.Set;

/** Attention of the oracle: every head's keys and values are written out. */
final class ReferenceAttention {
  private static final Set<String> ADJACENT =
      Set.of("llama", "deepseek2", "granite", "granitemoe", "deepseek", "ernie4_5", "ernie4_5-moe");

  private final Reference model;
  private final int heads;
  private final int keyHeads;
  private final int key;
  private final int value;
  private final int rotated;
  private final int rank;
  private final double[] speeds;
  private final double magnitude;

  ReferenceAttention(Reference model) {
    this.model = model;
    heads = model.whole("attention.head_count", 0);
    rank = model.whole("attention.kv_lora_rank", 0);
    keyHeads = rank > 0 ? heads : model.whole("attention.head_count_kv", heads);
    key = model.whole("attention.key_length_mla", model.whole("attention.key_length", 0));
    value = model.whole("attention.value_length_mla", model.whole("attention.value_length", 0));
    rotated = model.whole("rope.dimension_count", key);
    speeds = speeds();
    magnitude = magnitude();
  }

  /** What all heads of each token see. */
  double[][] run(int layer, double[][] h) {
    String p = "blk." + layer + ".";
    int n = h.length;
    double[][] q = new double[n][];
    double[][] k = new double[n][];
    double[][] v = new double[n][];
    double[][] seen = new double[n][heads * value];
    int window =
        model.arch.equals("gpt-oss") && layer % 2 == 0
            ? model.whole("attention.sliding_window", 0)
            : Integer.MAX_VALUE;
    for (int t = 0; t < n; t++) {
      if (rank > 0) {
        latent(p, h[t], t, q, k, v);
      } else {
        boolean late = model.arch.equals("hunyuan-moe");
        q[t] = model.times(p + "attn_q", 0, heads * key, h[t]);
        k[t] = model.times(p + "attn_k", 0, keyHeads * key, h[t]);
        q[t] = late ? q[t] : normed(q[t], p + "attn_q_norm");
        k[t] = late ? k[t] : normed(k[t], p + "attn_k_norm");
        v[t] = model.times(p + "attn_v", 0, keyHeads * value, h[t]);
        for (int i = 0; i < heads; i++) {
          turn(q[t], i * key, t);
        }
        for (int i = 0; i < keyHeads; i++) {
          turn(k[t], i * key, t);
        }
        q[t] = late ? normed(q[t], p + "attn_q_norm") : q[t];
        k[t] = late ? normed(k[t], p + "attn_k_norm") : k[t];
        halve(k[t]);
        halve(v[t]);
      }
      for (int a = 0; a < heads; a++) {
        attend(p, q[t], k, v, Math.max(0, t - window + 1), t, a, seen[t]);
      }
    }
    return seen;
  }

  /** Keys and values from the latent vector, which alone is cached with the rotated key. */
  private void latent(String p, double[] h, int t, double[][] q, double[][] k, double[][] v) {
    int plain = key - rotated;
    boolean split = model.has(p + "attn_k_b.weight");
    float[] keys = model.tensor(p + (split ? "attn_k_b.weight" : "attn_kv_b.weight"));
    if (model.has(p + "attn_q_a.weight")) {
      int size = model.tensor(p + "attn_q_a_norm.weight").length;
      double[] down = model.times(p + "attn_q_a", 0, size, h);
      double[] normed = model.norm(down, 0, size, p + "attn_q_a_norm");
      q[t] = model.times(p + "attn_q_b", 0, heads * key, normed);
    } else {
      q[t] = model.times(p + "attn_q", 0, heads * key, h);
    }
    double[] down = model.times(p + "attn_kv_a_mqa", 0, rank + rotated, h);
    double[] c = model.norm(down, 0, rank, p + "attn_kv_a_norm");
    double[] shared = Arrays.copyOfRange(down, rank, rank + rotated);
    turn(shared, 0, t);
    halve(c);
    halve(shared);
    k[t] = new double[heads * key];
    v[t] = new double[heads * value];
    for (int a = 0; a < heads; a++) {
      turn(q[t], a * key + plain, t);
      for (int i = 0; i < plain; i++) {
        for (int d = 0; d < rank; d++) {
          int at = split ? (a * rank + d) * plain + i : (a * (plain + value) + i) * rank + d;
          k[t][a * key + i] += c[d] * keys[at];
        }
      }
      System.arraycopy(shared, 0, k[t], a * key + plain, rotated);
      double[] values =
          split
              ? model.times(p + "attn_v_b", a * value, value, c)
              : model.times(p + "attn_kv_b", a * (plain + value) + plain, value, c);
      System.arraycopy(values, 0, v[t], a * value, value);
    }
  }

  private void attend(
      String p, double[] q, double[][] k, double[][] v, int from, int t, int a, double[] to) {
    int shared = a / (heads / keyHeads);
    boolean sink = model.has(p + "attn_sinks.weight");
    double scale = scale();
    double[] scores = new double[t + 1 - from + (sink ? 1 : 0)];
    for (int j = from; j <= t; j++) {
      for (int d = 0; d < key; d++) {
        scores[j - from] += q[a * key + d] * k[j][shared * key + d] * scale;
      }
    }
    if (sink) {
      scores[t + 1 - from] = model.tensor(p + "attn_sinks.weight")[a];
    }
    double[] weights = Reference.softmax(scores);
    for (int j = from; j <= t; j++) {
      for (int d = 0; d < value; d++) {
        to[a * value + d] += weights[j - from] * v[j][shared * value + d];
      }
    }
  }

  private double scale() {
    double plain = model.number("attention.scale", 1 / Math.sqrt(key));
    double log = Math.log(factor());
    double sharpened = (1 + logMultiplier() * log) * (logMultiplier() == 0 ? 1 + 0.1 * log : 1);
    return rank > 0 && yarn() ? plain * sharpened * sharpened : plain;
  }

  private double[] normed(double[] rows, String norm) {
    if (!model.has(norm + ".weight")) {
      return rows;
    }
    int size = model.tensor(norm + ".weight").length;
    double[] all = new double[rows.length];
    for (int at = 0; at < all.length; at += size) {
      System.arraycopy(model.norm(rows, at, size, norm), 0, all, at, size);
    }
    return all;
  }

  private boolean yarn() {
    return model.text("rope.scaling.type", "none").equals("yarn");
  }

  private double factor() {
    return model.number("rope.scaling.factor", 1);
  }

  private double logMultiplier() {
    return model.number("rope.scaling.yarn_log_multiplier", 0);
  }

  /** Angle of each pair at position 1. */
  private double[] speeds() {
    double original = model.whole("rope.scaling.original_context_length", 256);
    String factors = original < 256 ? "rope_factors_long" : "rope_factors_short";
    factors = model.has("rope_freqs.weight") ? "rope_freqs" : factors;
    double[] all = new double[rotated / 2];
    for (int i = 0; i < all.length; i++) {
      double speed = Math.pow(10000, -2.0 * i / rotated);
      if (model.has(factors + ".weight")) {
        speed /= model.tensor(factors + ".weight")[i];
      }
      double divided = 1;
      if (yarn()) {
        double low = Math.max(0, Math.floor(turning(32, original)));
        double high = Math.ceil(turning(1, original));
        divided = Math.clamp((i - low) / (high - low), 0, 1);
      }
      all[i] = speed / factor() * divided + speed * (1 - divided);
    }
    return all;
  }

  private double magnitude() {
    double plain = model.number("rope.scaling.attn_factor", 1);
    return yarn() && logMultiplier() == 0 ? plain * (1 + 0.1 * Math.log(factor())) : plain;
  }

  private void turn(double[] x, int at, int position) {
    boolean adjacent = ADJACENT.contains(model.arch);
    for (int i = 0; i < speeds.length; i++) {
      double angle = position * speeds[i];
      int a = at + (adjacent ? 2 * i : i);
      int b = at + (adjacent ? 2 * i + 1 : i + speeds.length);
      double first = x[a];
      x[a] = magnitude * (first * Math.cos(angle) - x[b] * Math.sin(angle));
      x[b] = magnitude * (first * Math.sin(angle) + x[b] * Math.cos(angle));
    }
  }

  /** The pair that turns this often in the original context. */
  private double turning(double turns, double original) {
    return rotated * Math.log(original / (2 * Math.PI * turns)) / (2 * Math.log(10000));
  }

  private static void halve(double[] x) {
    for (int i = 0; i < x.length; i++) {
      x[i] = Float.float16ToFloat(Float.floatToFloat16((float) x[i]));
    }
  }
}
