package org.moe4j;

import java.util.List;
import org.moe4j.tensor.Tensor;

/**
 * Decides which experts compute which tokens. A router returns its whole plan; it logs nothing,
 * stores nothing global and draws chance only from the context's source.
 */
@FunctionalInterface
public interface Router {
  /**
   * The plan for one layer's tokens.
   *
   * @param x hidden states [T,d], any floating-point type
   * @param context what else is known of the tokens
   * @throws org.moe4j.tensor.MoeException if the input is not finite or the context lacks something
   */
  Routing route(Tensor x, TokenContext context);

  /** The controllers of this router's state, to be told of every optimiser step. */
  default List<Controller> controllers() {
    return List.of();
  }

  /**
   * Looks at the corpus once, before a model's first step; what it learns is state and is saved
   * with the model. Most routers need nothing of it.
   */
  default void prepare(CorpusCounts corpus) {}
}
