package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import org.moe4j.ExpertForm;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.models.Attention;
import org.moe4j.models.AttentionConfig;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderBlock;
import org.moe4j.models.DecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.GroupedQueryConfig;
import org.moe4j.models.RopeConfig;

/**
 * What families share whose blocks, fields and names are Llama's. Each family says what it does
 * otherwise.
 */
abstract class LlamaFamily implements Family {
  /** What comes before every name but the output projection's. */
  String root() {
    return "model.";
  }

  // ---- fields ----

  /** A configuration of the usual fields; what a family has other defaults for, it sets again. */
  final DecoderConfig.Builder decoder(
      ConfigFile f, AttentionConfig attention, List<FeedForwardConfig> feedForward) {
    f.refuseUnless("hidden_act", "silu");
    return DecoderConfig.builder(
            f.positive("vocab_size"), f.positive("hidden_size"), attention, feedForward)
        .normEps(f.numberOr(1e-6, "rms_norm_eps"))
        .maxPositions(positions(f, f.positiveOr(4096, "max_position_embeddings")))
        .tiedEmbeddings(f.flagOr(false, "tie_word_embeddings"))
        .initStd(f.numberOr(0.02, "initializer_range"));
  }

  /** Dynamic scaling is for texts longer than the positions of training. */
  private static int positions(ConfigFile f, int trained) {
    if (!RopeFields.type(f).equals("dynamic")) {
      return trained;
    }
    String[] factor = {"rope_parameters/factor", "rope_scaling/factor"};
    return (int) Math.min(1 << 30, trained * Math.max(1, f.numberOr(1, factor)));
  }

  /** Attention of the usual fields, without norms and biases. */
  final GroupedQueryConfig attention(ConfigFile f, double theta) {
    int hidden = f.positive("hidden_size");
    int heads = f.positive("num_attention_heads");
    if (!f.has("head_dim") && hidden % heads != 0) {
      throw f.failure("num_attention_heads " + heads + ": must divide hidden_size " + hidden);
    }
    int headDim = f.positiveOr(Math.max(1, hidden / heads), "head_dim");
    RopeConfig rope = RopeFields.read(f, theta, headDim);
    int kvHeads = f.positiveOr(heads, "num_key_value_heads");
    return f.checked(() -> GroupedQueryConfig.of(heads, kvHeads, headDim, rope));
  }

  /** A sparse layer of the usual fields. */
  final MoeConfig.Builder moe(ConfigFile f, String... width) {
    return MoeConfig.builder(
        f.positive("hidden_size"),
        f.positive(width),
        f.positive("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
        f.positive("num_experts_per_tok", "moe_topk", "moe_k", "moe_top_k"));
  }

  /** {@code gating} with logits in the model's type, as all these families have but a few. */
  static Gating rounded(Gating gating) {
    return gating.with(Gating.Rounding.LOGITS);
  }

  /** Softmax over all experts, renormalised if {@code norm_topk_prob} says so. */
  static Gating softmax(ConfigFile f) {
    boolean renormalise = f.flagOr(false, "norm_topk_prob");
    return rounded(renormalise ? Gating.MIXTRAL : Gating.SOFTMAX_TOP_K);
  }

  /** The window of every layer: {@code sliding_window} where {@code layer_types} says so. */
  final List<Integer> windows(ConfigFile f, int layers, boolean everywhere) {
    if (!f.has("sliding_window")) {
      return List.of();
    }
    int window = f.positive("sliding_window");
    List<String> types = f.texts("layer_types");
    if (!types.isEmpty() && types.size() != layers) {
      throw f.failure("layer_types has " + types.size() + " entries for " + layers + " layers");
    }
    List<Integer> windows = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      boolean slides = types.isEmpty() ? everywhere : slides(f, types.get(i));
      windows.add(slides ? window : 0);
    }
    return windows;
  }

  private static boolean slides(ConfigFile f, String type) {
    return switch (type) {
      case "sliding_attention" -> true;
      case "full_attention" -> false;
      default ->
          throw f.failure(
              "layer_types: "
                  + type
                  + " is not supported; use full_attention or"
                  + " sliding_attention");
    };
  }

  /** Sparse layers but for those in {@code mlp_only_layers} and between the sparse steps. */
  final List<FeedForwardConfig> stepped(ConfigFile f, MoeConfig moe) {
    Set<Integer> dense = f.integers("mlp_only_layers");
    int step = f.positiveOr(1, "decoder_sparse_step");
    List<FeedForwardConfig> all = new ArrayList<>();
    for (int i = 0; i < f.positive("num_hidden_layers"); i++) {
      boolean sparse = (i + 1) % step == 0 && !dense.contains(i);
      all.add(
          sparse
              ? new FeedForwardConfig.Moe(moe)
              : FeedForwardConfig.swiglu(f.positive("intermediate_size")));
    }
    return all;
  }

  /** Dense networks in the first {@code first_k_dense_replace} layers. */
  final List<FeedForwardConfig> firstDense(ConfigFile f, int standard, MoeConfig moe) {
    int layers = f.positive("num_hidden_layers");
    int dense = Math.min(layers, f.naturalOr(standard, "first_k_dense_replace"));
    return FeedForwardConfig.firstDense(
        layers, dense, FeedForwardConfig.swiglu(f.positive("intermediate_size")), moe);
  }

  /** The same sparse layer in every block. */
  final List<FeedForwardConfig> every(ConfigFile f, MoeConfig moe) {
    return FeedForwardConfig.every(f.positive("num_hidden_layers"), new FeedForwardConfig.Moe(moe));
  }

  /** Gated SiLU, the form of all these families' experts unless they say otherwise. */
  static final ExpertForm FORM = ExpertForm.SWIGLU;

  // ---- names ----

  @Override
  public WeightMap names(Decoder model, ExpertLayout layout) {
    WeightMap map = new WeightMap();
    map.whole(root() + "embed_tokens.weight", model.embedding());
    for (int i = 0; i < model.blocks().size(); i++) {
      DecoderBlock block = model.blocks().get(i);
      String at = root() + "layers." + i + ".";
      norms(map, at, block);
      attention(map, at, block.attention());
      block.dense().ifPresent(d -> Names.network(map, at + "mlp.", d));
      Parameter gate = block.moe().isEmpty() ? null : model.parameters().named(gateOf(i));
      block.moe().ifPresent(moe -> sparse(map, at, moe, gate, layout));
    }
    Names.norm(map, root() + "norm", model.norm());
    if (!model.config().tiedEmbeddings()) {
      map.whole(head() + ".weight", model.head());
    }
    model.headBias().ifPresent(b -> map.whole(head() + ".bias", b));
    return map;
  }

  /** The output projection. */
  String head() {
    return "lm_head";
  }

  static String gateOf(int layer) {
    return "layers." + layer + ".moe.gate.weight";
  }

  /** The norms of a block. */
  void norms(WeightMap map, String at, DecoderBlock block) {
    Names.norm(map, at + "input_layernorm", block.attentionNorm());
    Names.norm(map, at + "post_attention_layernorm", block.ffnNorm());
  }

  /** The attention of a block. */
  void attention(WeightMap map, String at, Attention attention) {
    Names.attention(map, at + "self_attn.", attention);
  }

  /** The sparse layer of a block: a gate and experts, as most have it. */
  void sparse(WeightMap map, String at, MoeLayer moe, Parameter gate, ExpertLayout layout) {
    map.whole(at + "mlp.gate.weight", gate);
    Names.experts(map, at + "mlp.", moe, layout);
  }

  @Override
  public List<ExpertLayout> layouts() {
    return List.of(ExpertLayout.RELEASED, ExpertLayout.FUSED);
  }

  /** Fused where the stacked tensors of transformers 5 are. */
  @Override
  public ExpertLayout layout(Collection<String> names) {
    return layouts().contains(ExpertLayout.FUSED)
            && names.stream().anyMatch(n -> n.endsWith("experts.gate_up_proj"))
        ? ExpertLayout.FUSED
        : ExpertLayout.RELEASED;
  }
}
