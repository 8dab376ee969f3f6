package org.moe4j.models.hf;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.moe4j.Activation;
import org.moe4j.Capacity;
import org.moe4j.ExpertForm;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.models.EncoderDecoderConfig;
import org.moe4j.models.FeedForwardConfig;
import org.moe4j.models.PositionBuckets;

/**
 * {@code config.json} of switch_transformers. Blocks, sizes, sparsity and tying are taken from the
 * tensors; the file tells the rest, and where it contradicts the tensors that is told.
 */
final class SwitchConfigs {
  static final String MODEL_TYPE = "switch_transformers";

  /**
   * A configuration that fits the tensors.
   *
   * @param contradictions what the file says otherwise, each in a few words
   */
  record Read(EncoderDecoderConfig config, List<String> contradictions) {}

  private final ConfigFile file;
  private final SwitchTensors tensors;
  private final List<String> contradictions = new ArrayList<>();

  private SwitchConfigs(ConfigFile file, SwitchTensors tensors) {
    this.file = file;
    this.tensors = tensors;
  }

  /**
   * Reads the file.
   *
   * @param tied whether the output projection is the embedding
   * @throws org.moe4j.tensor.MoeException naming file and field
   */
  static Read read(ConfigFile file, SwitchTensors tensors, boolean tied) {
    SwitchConfigs reader = new SwitchConfigs(file, tensors);
    reader.compare(tied);
    EncoderDecoderConfig config = file.checked(() -> reader.config(tied));
    return new Read(config, List.copyOf(reader.contradictions));
  }

  private EncoderDecoderConfig config(boolean tied) {
    if (tensors.inner() % tensors.heads() != 0) {
      throw file.failure(
          "attention of width "
              + tensors.inner()
              + " does not divide into "
              + tensors.heads()
              + " heads");
    }
    return new EncoderDecoderConfig(
        tensors.vocab(),
        tensors.hidden(),
        tensors.heads(),
        tensors.inner() / tensors.heads(),
        new PositionBuckets(
            tensors.buckets(), file.positiveOr(128, "relative_attention_max_distance")),
        stack(tensors.encoder()),
        stack(tensors.decoder()),
        Capacity.huggingFaceSwitch(file.positiveOr(64, "expert_capacity")),
        file.numberOr(1e-6, "layer_norm_epsilon"),
        tied,
        file.has("decoder_start_token_id") ? file.natural("decoder_start_token_id") : 0);
  }

  private List<FeedForwardConfig> stack(List<Integer> experts) {
    ExpertForm form = form();
    return experts.stream().map(n -> half(n, form)).toList();
  }

  private FeedForwardConfig half(int experts, ExpertForm form) {
    if (experts == 0) {
      return new FeedForwardConfig.Dense(form, tensors.width());
    }
    return new FeedForwardConfig.Moe(
        MoeConfig.builder(tensors.hidden(), tensors.width(), experts, 1)
            .router(
                "switch",
                Map.of(
                    "jitter", jitter(),
                    "bias", tensors.routerBias(),
                    "dtype", routerType()))
            .form(form)
            .init(InitScheme.SWITCH)
            .build());
  }

  private double jitter() {
    double jitter = file.numberOr(0.01, "router_jitter_noise");
    if (!(jitter >= 0 && jitter < 1)) {
      throw file.failure("router_jitter_noise " + jitter + ": must be at least 0 and below 1");
    }
    return jitter;
  }

  private String routerType() {
    String type = file.textOr("float32", "router_dtype");
    return switch (type) {
      case "float32" -> "f32";
      case "bfloat16" -> "bf16";
      case "float16" -> "f16";
      default -> throw file.failure("router_dtype " + type + ": use float32, bfloat16 or float16");
    };
  }

  private ExpertForm form() {
    String name = file.textOr("relu", "dense_act_fn", "feed_forward_proj");
    boolean gated = name.startsWith("gated-");
    if (gated != tensors.gated()) {
      throw file.failure(
          "dense_act_fn "
              + name
              + ", but the feed-forward tensors are "
              + (gated ? "not gated (wi)" : "gated (wi_0, wi_1)"));
    }
    // T5's "gated-gelu" has always meant the tanh approximation.
    Activation activation =
        switch (gated ? name.substring("gated-".length()) : name) {
          case "relu" -> Activation.RELU;
          case "gelu" -> gated ? Activation.GELU_TANH : Activation.GELU;
          case "gelu_new" -> Activation.GELU_TANH;
          case "silu", "swish" -> Activation.SILU;
          default ->
              throw file.failure(
                  "dense_act_fn "
                      + name
                      + " is not supported; supported: relu, gelu, gelu_new,"
                      + " silu, gated-gelu, gated-silu, gated-relu");
        };
    return new ExpertForm(activation, gated, false);
  }

  private void compare(boolean tied) {
    compare(tensors.vocab(), "vocab_size");
    compare(tensors.hidden(), "d_model", "hidden_size");
    compare(tensors.heads(), "num_heads", "num_attention_heads");
    compare(tensors.inner() / tensors.heads(), "d_kv");
    compare(tensors.width(), "d_ff");
    compare(tensors.buckets(), "relative_attention_num_buckets");
    compare(tensors.encoder().size(), "num_layers", "num_hidden_layers");
    compare(tensors.decoder().size(), "num_decoder_layers");
    List<Integer> experts = new ArrayList<>(tensors.encoder());
    experts.addAll(tensors.decoder());
    experts.stream().filter(n -> n > 0).distinct().forEach(n -> compare(n, "num_experts"));
    int layers = file.positiveOr(tensors.encoder().size(), "num_layers", "num_hidden_layers");
    sparsity("encoder", layers, tensors.encoder());
    sparsity("decoder", file.positiveOr(layers, "num_decoder_layers"), tensors.decoder());
    boolean told = file.flagOr(true, "tie_word_embeddings");
    if (told != tied) {
      contradictions.add(
          file.has("tie_word_embeddings")
              ? "tie_word_embeddings is " + told + ", by the tensors it is " + tied
              : "tie_word_embeddings is missing, which means true, by the tensors it is false");
    }
    if (file.flagOr(tensors.routerBias(), "router_bias") != tensors.routerBias()) {
      contradictions.add(
          "router_bias is " + !tensors.routerBias() + ", by the tensors " + tensors.routerBias());
    }
  }

  private void compare(int actual, String... field) {
    if (file.has(field) && file.positive(field) != actual) {
      contradictions.add(field[0] + " is " + file.positive(field) + ", by the tensors " + actual);
    }
  }

  /** As transformers 5 computes it: the step keys of the file are recomputed, not read. */
  private void sparsity(String side, int layers, List<Integer> actual) {
    String field = "num_sparse_" + side + "_layers";
    int sparse = file.has(field) ? file.natural(field) : 3;
    List<Integer> told = new ArrayList<>();
    int step = sparse > 0 ? layers / sparse : layers;
    // Layers beyond those of the tensors have been told of already.
    for (int i = 0; i < Math.min(layers, actual.size()); i++) {
      if (step > 0 && (step == 1 || i % step == 1)) {
        told.add(i);
      }
    }
    List<Integer> found = new ArrayList<>();
    for (int i = 0; i < Math.min(layers, actual.size()); i++) {
      if (actual.get(i) > 0) {
        found.add(i);
      }
    }
    // transformers makes block 1 sparse where none is meant to be.
    if (!told.equals(found) && !(sparse == 0 && found.isEmpty())) {
      contradictions.add(
          field
              + " "
              + sparse
              + " of "
              + layers
              + " layers makes the "
              + side
              + " blocks "
              + told
              + " sparse, by the tensors they are "
              + found);
    }
  }
}
