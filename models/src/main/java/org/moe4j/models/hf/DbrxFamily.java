package org.moe4j.models.hf;

import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.Renormalise;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderBlock;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryAttention;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.NormKind;
import org.moe4j.models.RopeConfig;

/** DBRX: LayerNorm without shift, clamped queries, keys and values in one matrix. */
final class DbrxFamily implements Family {
  @Override
  public String modelType() {
    return "dbrx";
  }

  @Override
  public DecoderConfig config(ConfigFile f) {
    f.refuseUnless("ffn_config/ffn_act_fn/name", "silu");
    int hidden = f.positive("d_model");
    int heads = f.positive("n_heads");
    if (hidden % heads != 0) {
      throw f.failure("n_heads " + heads + ": must divide d_model " + hidden);
    }
    double theta =
        f.numberOr(1e4, "rope_parameters/rope_theta", "rope_theta", "attn_config/rope_theta");
    GroupedQueryConfig attention =
        f.checked(
            () ->
                GroupedQueryConfig.of(
                        heads,
                        f.positiveOr(1, "attn_config/kv_n_heads"),
                        hidden / heads,
                        RopeConfig.of(theta))
                    .withClip(f.numberOr(0, "attn_config/clip_qkv")));
    MoeConfig moe =
        f.checked(
            () ->
                MoeConfig.builder(
                        hidden,
                        f.positive("ffn_config/ffn_hidden_size"),
                        f.positive("ffn_config/moe_num_experts"),
                        f.positive("ffn_config/moe_top_k"))
                    .form(ExpertForm.SWIGLU)
                    .gating(gating(f))
                    .build());
    return DecoderConfig.builder(
            f.positive("vocab_size"),
            hidden,
            attention,
            FeedForwardConfig.every(f.positive("n_layers"), new FeedForwardConfig.Moe(moe)))
        .norm(NormKind.LAYER_WITHOUT_SHIFT)
        .normEps(1e-5)
        .maxPositions(f.positiveOr(2048, "max_seq_len"))
        .tiedEmbeddings(f.flagOr(false, "tie_word_embeddings"))
        .initStd(f.numberOr(0.02, "initializer_range"))
        .build();
  }

  /** The chosen weights are divided by their p-norm, if a p is given. */
  private static Gating gating(ConfigFile f) {
    Gating softmax = Gating.SOFTMAX_TOP_K.with(Gating.Rounding.BOTH);
    String field = "ffn_config/moe_normalize_expert_weights";
    if (!f.has(field)) {
      return softmax;
    }
    return softmax.with(
        new Renormalise(Renormalise.When.BEFORE_DROP, Renormalise.Guard.ADD, 0, f.number(field)));
  }

  @Override
  public WeightMap names(Decoder model, ExpertLayout layout) {
    WeightMap map = new WeightMap();
    map.whole("transformer.wte.weight", model.embedding());
    for (int i = 0; i < model.blocks().size(); i++) {
      String at = "transformer.blocks." + i + ".";
      DecoderBlock block = model.blocks().get(i);
      Names.norm(map, at + "norm_attn_norm.norm_1", block.attentionNorm());
      attention(map, at + "norm_attn_norm.attn.", (GroupedQueryAttention) block.attention());
      Names.norm(map, at + "norm_attn_norm.norm_2", block.ffnNorm());
      Parameter gate = model.parameters().named(LlamaFamily.gateOf(i));
      block.moe().ifPresent(moe -> sparse(map, at + "ffn.", moe, gate));
    }
    Names.norm(map, "transformer.norm_f", model.norm());
    if (!model.config().tiedEmbeddings()) {
      map.whole("lm_head.weight", model.head());
    }
    return map;
  }

  private static void attention(WeightMap map, String at, GroupedQueryAttention a) {
    Parameter q = a.q().weight();
    Parameter k = a.k().weight();
    Parameter v = a.v().weight();
    long kv = k.tensor().size(0);
    long queries = q.tensor().size(0);
    map.tensor(at + "Wqkv.weight", queries + 2 * kv, q.tensor().size(1))
        .rows(queries, q)
        .rows(kv, k)
        .rows(kv, v);
    map.whole(at + "out_proj.weight", a.o().weight());
  }

  /** w1 is the gate, v1 the up, w2 the transposed down projection; experts one below another. */
  private static void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate) {
    map.whole(at + "router.layer.weight", gate);
    Parameter in = Names.experts(moe).in();
    Parameter out = Names.experts(moe).out();
    long d = moe.config().width();
    long h = moe.config().expertWidth();
    long rows = moe.config().experts() * h;
    map.tensor(at + "experts.mlp.w1", rows, d).all(in, w -> w.narrow(1, 0, h));
    map.tensor(at + "experts.mlp.v1", rows, d).all(in, w -> w.narrow(1, h, h));
    map.tensor(at + "experts.mlp.w2", rows, d).all(out, w -> w.transpose(1, 2));
  }
}
