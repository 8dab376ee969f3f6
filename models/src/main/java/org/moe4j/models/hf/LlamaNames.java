package org.moe4j.models.hf;

import org.moe4j.FeedForwardExperts;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.models.Attention;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderBlock;
import org.moe4j.models.LayerNorm;
import org.moe4j.models.Norm;
import org.moe4j.models.RmsNorm;

/**
 * The tensor names that Llama-like families with experts share on disk. What differs are the names
 * inside a sparse layer, which each family's own file gives.
 */
final class LlamaNames {
  /**
   * A family's names inside a sparse layer.
   *
   * @param layer the sparse layer, for instance {@code mlp}
   * @param gate an expert's gate projection, {@code up} its up, {@code down} its down projection
   */
  record ExpertNames(String layer, String gate, String up, String down) {}

  /** In what form the experts lie on disk. */
  enum Form {
    /** Three tensors per expert: the released checkpoints. */
    PER_EXPERT,
    /** Two stacked tensors per layer under {@code mlp}: transformers 5 in memory. */
    FUSED
  }

  /** The stacked gate and up projections of a layer in the fused form. */
  static final String FUSED_IN = "mlp.experts.gate_up_proj";

  private LlamaNames() {}

  /** Names for all parameters of {@code model}. */
  static WeightMap of(Decoder model, ExpertNames names, Form form) {
    WeightMap map = new WeightMap();
    map.whole("model.embed_tokens.weight", model.embedding());
    for (int i = 0; i < model.blocks().size(); i++) {
      block(map, "model.layers." + i + ".", model.blocks().get(i));
      sparse(map, "model.layers." + i + ".", i, model, names, form);
    }
    map.whole("model.norm.weight", scale(model.norm()));
    if (!model.config().tiedEmbeddings()) {
      map.whole("lm_head.weight", model.head());
    }
    return map;
  }

  private static void block(WeightMap map, String at, DecoderBlock block) {
    map.whole(at + "input_layernorm.weight", scale(block.attentionNorm()));
    map.whole(at + "post_attention_layernorm.weight", scale(block.ffnNorm()));
    Attention a = block.attention();
    map.whole(at + "self_attn.q_proj.weight", a.q().weight());
    map.whole(at + "self_attn.k_proj.weight", a.k().weight());
    map.whole(at + "self_attn.v_proj.weight", a.v().weight());
    map.whole(at + "self_attn.o_proj.weight", a.o().weight());
    a.qNorm().ifPresent(n -> map.whole(at + "self_attn.q_norm.weight", n.weight()));
    a.kNorm().ifPresent(n -> map.whole(at + "self_attn.k_norm.weight", n.weight()));
  }

  private static Parameter scale(Norm norm) {
    return switch (norm) {
      case RmsNorm n -> n.weight();
      case LayerNorm n -> throw new IllegalStateException("these families have no LayerNorm");
    };
  }

  private static void sparse(
      WeightMap map, String at, int layer, Decoder model, ExpertNames names, Form form) {
    MoeLayer moe = model.blocks().get(layer).moe().orElseThrow();
    String inside = at + (form == Form.FUSED ? "mlp" : names.layer()) + ".";
    map.whole(inside + "gate.weight", gate(model.parameters(), layer));
    if (!(moe.experts() instanceof FeedForwardExperts experts)) {
      throw new IllegalStateException("these families have feed-forward experts");
    }
    if (form == Form.FUSED) {
      map.whole(at + FUSED_IN, experts.in());
      map.whole(inside + "experts.down_proj", experts.out());
      return;
    }
    long h = moe.config().expertWidth();
    for (int e = 0; e < experts.count(); e++) {
      int expert = e;
      String one = inside + "experts." + e + ".";
      map.part(one + names.gate(), experts.in(), w -> w.select(0, expert).narrow(0, 0, h));
      map.part(one + names.up(), experts.in(), w -> w.select(0, expert).narrow(0, h, h));
      map.part(one + names.down(), experts.out(), w -> w.select(0, expert));
    }
  }

  private static Parameter gate(ParameterStore store, int layer) {
    return store.named("layers." + layer + ".moe.gate.weight");
  }
}
