package org.moe4j.models.gguf;

import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;

/**
 * An architecture of GGUF: which decoders it computes, what its metadata says of them and how it
 * calls and lays out their tensors.
 */
abstract class Target {
  /** The name in {@code general.architecture}. */
  abstract String label();

  /** Notes what the architecture computes otherwise than a decoder of this shape. */
  abstract void check(DecoderConfig config, Fit fit);

  /** Writes metadata and tensors of a decoder that fits. */
  abstract void write(Decoder model, Keys keys, TensorTable table);

  /** What all architectures ask for. */
  static void common(DecoderConfig c, Fit fit) {
    fit.require(c.placement() == DecoderConfig.NormPlacement.PRE, "norms behind its branches");
    fit.require(c.finalNormEps() == c.normEps(), "another epsilon in its last norm");
  }

  /** Without windows in the files only texts that fit into the smallest one come out the same. */
  static void windowless(DecoderConfig c, Fit fit) {
    c.windows().stream()
        .filter(w -> w > 0)
        .mapToInt(w -> w)
        .min()
        .ifPresent(w -> fit.limit(w, "a sliding window"));
  }

  /** What all architectures say. */
  static void common(DecoderConfig c, Keys keys) {
    keys.put("vocab_size", c.vocab())
        .put("embedding_length", c.hidden())
        .put("block_count", c.layers());
  }
}
