package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.StoredExperts;
import org.moe4j.tensor.Tensor;

/**
 * The tensor names of switch_transformers on disk, with the parameter or part of a parameter that
 * each of them is. They follow from the configuration: nothing is allocated to know them.
 */
final class SwitchNames {
  /** The router inside of a sparse layer, up to {@code weight} and {@code bias}. */
  static final String ROUTER = ".mlp.router.classifier.";

  /**
   * A tensor on disk.
   *
   * @param name on disk
   * @param shape of it
   * @param parameter the name of the model's parameter
   * @param view its part of the parameter
   * @param expert whether it belongs to a routed expert
   */
  record Entry(
      String name,
      List<Long> shape,
      String parameter,
      UnaryOperator<Tensor> view,
      boolean expert) {}

  private final List<Entry> entries = new ArrayList<>();
  private final long d;
  private final long inner;

  private SwitchNames(EncoderDecoderConfig config) {
    this.d = config.hidden();
    this.inner = config.inner();
  }

  /**
   * All tensors of a model.
   *
   * @param head the name of the output projection, where it is not the embedding
   */
  static List<Entry> of(EncoderDecoderConfig config, String head) {
    SwitchNames names = new SwitchNames(config);
    names.whole(SwitchTensors.SHARED, "embed.weight", config.vocab(), names.d);
    names.stack("encoder", config.encoder(), config);
    names.stack("decoder", config.decoder(), config);
    if (!config.tied()) {
      names.whole(head, "head.weight", config.vocab(), names.d);
    }
    return names.entries;
  }

  /** {@code encoder.block.3.} and the like. */
  static String block(String side, int i) {
    return side + ".block." + i + ".";
  }

  /** The feed-forward half in a block: the second sub-layer, in a decoder the third. */
  static String feedForward(String side) {
    return side.equals("encoder") ? "layer.1" : "layer.2";
  }

  /** The tensors of an expert of one layer. */
  static StoredExperts.Names expert(String side, int block, int expert, ExpertForm form) {
    String at =
        block(side, block) + feedForward(side) + ".mlp.experts.expert_" + expert + ".";
    return new StoredExperts.Names(ups(form).stream().map(at::concat).toList(), at + "wo.weight");
  }

  private static List<String> ups(ExpertForm form) {
    return form.gated() ? List.of("wi_0.weight", "wi_1.weight") : List.of("wi.weight");
  }

  private void stack(String side, List<FeedForwardConfig> halves, EncoderDecoderConfig config) {
    boolean decodes = side.equals("decoder");
    whole(
        block(side, 0) + "layer.0.SelfAttention.relative_attention_bias.weight",
        side + ".relative_bias.weight",
        config.positions().buckets(),
        config.heads());
    for (int i = 0; i < halves.size(); i++) {
      String disk = block(side, i);
      String own = side + ".layers." + i + ".";
      attention(disk + "layer.0.", "SelfAttention", own + "attn");
      if (decodes) {
        attention(disk + "layer.1.", "EncDecAttention", own + "cross");
      }
      whole(disk + feedForward(side) + ".layer_norm.weight", own + "ffn_norm.weight", d);
      switch (halves.get(i)) {
        case FeedForwardConfig.Dense f ->
            network(disk + feedForward(side) + ".mlp.", own + "ffn.", f.form(), f.width());
        case FeedForwardConfig.Moe f -> sparse(side, i, own + "moe.", f.moe());
      }
    }
    whole(side + ".final_layer_norm.weight", side + ".norm.weight", d);
  }

  private void attention(String disk, String kind, String own) {
    whole(disk + "layer_norm.weight", own + "_norm.weight", d);
    for (String part : List.of("q", "k", "v")) {
      whole(disk + kind + "." + part + ".weight", own + "." + part + "_proj.weight", inner, d);
    }
    whole(disk + kind + ".o.weight", own + ".o_proj.weight", d, inner);
  }

  private void network(String disk, String own, ExpertForm form, long h) {
    List<String> ups = ups(form);
    for (int i = 0; i < ups.size(); i++) {
      long from = i * h;
      part(disk + ups.get(i), own + "w_in", w -> w.narrow(0, from, h), false, h, d);
    }
    whole(disk + "wo.weight", own + "w_out", d, h);
  }

  private void sparse(String side, int block, String own, MoeConfig moe) {
    String router = block(side, block) + feedForward(side) + ROUTER;
    whole(router + "weight", own + "gate.weight", moe.experts(), d);
    if (Boolean.TRUE.equals(moe.routerOptions().get("bias"))) {
      whole(router + "bias", own + "gate.bias", moe.experts());
    }
    long h = moe.expertWidth();
    for (int e = 0; e < moe.experts(); e++) {
      int expert = e;
      StoredExperts.Names names = expert(side, block, e, moe.form());
      for (int i = 0; i < names.in().size(); i++) {
        long from = i * h;
        part(
            names.in().get(i),
            own + "experts.w_in",
            w -> w.select(0, expert).narrow(0, from, h),
            true,
            h,
            d);
      }
      part(names.out(), own + "experts.w_out", w -> w.select(0, expert), true, d, h);
    }
  }

  private void whole(String disk, String own, long... shape) {
    part(disk, own, UnaryOperator.identity(), false, shape);
  }

  private void part(
      String disk, String own, UnaryOperator<Tensor> view, boolean expert, long... shape) {
    List<Long> sizes = new ArrayList<>();
    for (long n : shape) {
      sizes.add(n);
    }
    entries.add(new Entry(disk, sizes, own, view, expert));
  }
}
