package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.moe4j.engine.EngineException;

/**
 * The families of decoders that can be read, by the name in {@code general.architecture}, and in
 * what they differ beyond the tensors that they have.
 */
public enum Architecture {
  /** Llama, Mistral, Mixtral: the file's query and key rows are ordered for adjacent pairs. */
  LLAMA(false, true),
  OLMOE(true, false),
  QWEN3(true, true),
  QWEN3MOE(true, true);

  private final boolean halves;
  private final boolean normalised;

  Architecture(boolean halves, boolean normalised) {
    this.halves = halves;
    this.normalised = normalised;
  }

  /** True if rotary embedding pairs dimension i with i + half the width; else 2 i with 2 i + 1. */
  public boolean halves() {
    return halves;
  }

  /** True if the weights of a token's experts are divided by their sum. */
  public boolean normalised() {
    return normalised;
  }

  /**
   * The one of this name.
   *
   * @throws EngineException if there is none
   */
  static Architecture named(String file, String name) {
    for (Architecture a : values()) {
      if (a.label().equals(name)) {
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

  private String label() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
