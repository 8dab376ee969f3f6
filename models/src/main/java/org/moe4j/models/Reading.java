package org.moe4j.models;

import org.moe4j.tensor.Tensor;

/** A model in the midst of sequences: it reads tokens and says what may come next. */
public interface Reading extends AutoCloseable {
  /**
   * Reads on.
   *
   * @param ids [B,S] I64, behind all that was read before
   * @return logits [B,V] in F32 after the last token
   */
  Tensor next(Tensor ids);

  /** Frees what was kept of the sequences. */
  @Override
  void close();
}
