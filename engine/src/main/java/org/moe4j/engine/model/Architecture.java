package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.moe4j.engine.EngineException;

/**
 * The families of decoders that can be read, by the name in {@code general.architecture}. What a
 * family has beyond others shows in the tensors and metadata of its files; here is what neither
 * tells.
 */
public enum Architecture {
  /** Llama, Mistral, Mixtral. */
  LLAMA("llama", Pairing.ADJACENT, Gating.SOFTMAX, true),
  OLMOE("olmoe", Pairing.HALVES, Gating.SOFTMAX, false),
  QWEN2("qwen2", Pairing.HALVES, Gating.SOFTMAX, false),
  QWEN2MOE("qwen2moe", Pairing.HALVES, Gating.SOFTMAX, false),
  QWEN3("qwen3", Pairing.HALVES, Gating.SOFTMAX, true),
  QWEN3MOE("qwen3moe", Pairing.HALVES, Gating.SOFTMAX, true),
  /** DeepSeek V2, V3, R1 and what shares their latent attention. */
  DEEPSEEK2("deepseek2", Pairing.ADJACENT, Gating.SOFTMAX, false),
  /** Its norms are root-mean-square norms with a shift, as files of this name are run elsewhere. */
  PHIMOE("phimoe", Pairing.HALVES, Gating.SOFTMAX, true),
  GRANITE("granite", Pairing.ADJACENT, Gating.SOFTMAX, true),
  GRANITEMOE("granitemoe", Pairing.ADJACENT, Gating.SOFTMAX, true),
  GPT_OSS("gpt-oss", Pairing.HALVES, Gating.CHOSEN, false),
  GLM4MOE("glm4moe", Pairing.HALVES, Gating.SIGMOID, false),
  /** DeepSeekMoE, of before latent attention. */
  DEEPSEEK("deepseek", Pairing.ADJACENT, Gating.SOFTMAX, false),
  DOTS1("dots1", Pairing.HALVES, Gating.SIGMOID, false),
  ERNIE4_5("ernie4_5", Pairing.ADJACENT, Gating.SOFTMAX, true),
  ERNIE4_5_MOE("ernie4_5-moe", Pairing.ADJACENT, Gating.SOFTMAX, true),
  HUNYUAN_MOE("hunyuan-moe", Pairing.HALVES, Gating.SOFTMAX, true),
  MINIMAX_M2("minimax-m2", Pairing.HALVES, Gating.SIGMOID, true);

  /** Which two numbers of a head rotary embedding turns together. */
  public enum Pairing {
    /** 2 i and 2 i + 1. */
    ADJACENT,
    /** i and i + half the width. */
    HALVES
  }

  private final String label;
  private final Pairing pairing;
  private final Gating gating;
  private final boolean normalised;

  Architecture(String label, Pairing pairing, Gating gating, boolean normalised) {
    this.label = label;
    this.pairing = pairing;
    this.gating = gating;
    this.normalised = normalised;
  }

  /** The name in files. */
  public String label() {
    return label;
  }

  /** How numbers of a head are paired. */
  public Pairing pairing() {
    return pairing;
  }

  /** How routers weigh experts where the file does not say. */
  Gating gating() {
    return gating;
  }

  /** True if the weights of a token's experts sum to 1 where the file does not say. */
  boolean normalised() {
    return normalised;
  }

  /** The tensor that scales the input of a layer's feed-forward part. */
  String forwardNorm() {
    return this == GPT_OSS || this == GLM4MOE ? "post_attention_norm" : "ffn_norm";
  }

  /** True if queries and keys are rotated before they are normalised. */
  boolean rotatesFirst() {
    return this == HUNYUAN_MOE;
  }

  /** True if every other layer sees a window alone, beginning with the first. */
  boolean windowed() {
    return this == GPT_OSS;
  }

  /**
   * True if gates and ups are clamped: (min(up, 7) + 1) gate sigmoid(1.702 gate), gate at most 7.
   */
  boolean clamped() {
    return this == GPT_OSS;
  }

  /** True if keys and values come from a common latent vector. */
  boolean latent() {
    return this == DEEPSEEK2;
  }

  /**
   * The one of this name.
   *
   * @throws EngineException if there is none
   */
  static Architecture named(String file, String name) {
    for (Architecture a : values()) {
      if (a.label.equals(name)) {
        return a;
      }
    }
    throw new EngineException(
        file
            + ": architecture "
            + name
            + " cannot be run; known: "
            + Arrays.stream(values()).map(Architecture::label).collect(Collectors.joining(", ")));
  }
}
