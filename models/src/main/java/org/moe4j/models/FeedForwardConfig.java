package org.moe4j.models;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.moe4j.ExpertForm;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.tensor.MoeException;

/** The feed-forward half of one decoder block. */
public sealed interface FeedForwardConfig {
  /**
   * One network for all tokens.
   *
   * @param form its function, usually SwiGLU
   * @param width its hidden width
   * @param init how its weights start, as those of experts do
   */
  record Dense(ExpertForm form, int width, InitScheme init) implements FeedForwardConfig {
    /** Checks the width. */
    public Dense {
      if (width < 1) {
        throw new MoeException("dense_ffn " + width + ": must be at least 1");
      }
    }

    /** One that starts with deviation 0.02. */
    public Dense(ExpertForm form, int width) {
      this(form, width, InitScheme.NORMAL);
    }
  }

  /** A sparse layer. */
  record Moe(MoeConfig moe) implements FeedForwardConfig {}

  /** A dense SwiGLU network. */
  static Dense swiglu(int width) {
    return new Dense(ExpertForm.SWIGLU, width);
  }

  /** The sparse layer's configuration, if this is one. */
  default Optional<MoeConfig> sparse() {
    return this instanceof Moe m ? Optional.of(m.moe()) : Optional.empty();
  }

  /** With the size of the model's vocabulary, if the layer's router asks for it. */
  default FeedForwardConfig knowing(int vocab) {
    return this instanceof Moe(MoeConfig moe) ? new Moe(moe.knowing("vocab", vocab)) : this;
  }

  /** The same network in every one of {@code layers} layers. */
  static List<FeedForwardConfig> every(int layers, FeedForwardConfig each) {
    return Collections.nCopies(layers, each);
  }

  /** Dense in layers 0, 2, ..., sparse in layers 1, 3, ...: GShard, Switch. */
  static List<FeedForwardConfig> everyOther(int layers, FeedForwardConfig dense, MoeConfig moe) {
    List<FeedForwardConfig> all = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      all.add(i % 2 == 0 ? dense : new Moe(moe));
    }
    return all;
  }

  /** Dense in the first {@code denseLayers} layers, sparse in the others: DeepSeekMoE. */
  static List<FeedForwardConfig> firstDense(
      int layers, int denseLayers, FeedForwardConfig dense, MoeConfig moe) {
    List<FeedForwardConfig> all = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      all.add(i < denseLayers ? dense : new Moe(moe));
    }
    return all;
  }
}
