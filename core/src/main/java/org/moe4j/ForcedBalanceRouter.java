package org.moe4j;

import java.util.List;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * A debugging switch: the inner router does all its work, then choices go round robin, token t's
 * j-th to expert (t k + j) mod E. Every expert gets the same load (to one), so what remains of a
 * slowdown is not skew.
 */
public final class ForcedBalanceRouter implements Router {
  private final Router inner;

  /** Wraps {@code inner}, which must be a token-choice router with scores. */
  public ForcedBalanceRouter(Router inner) {
    this.inner = inner;
  }

  @Override
  public List<Controller> controllers() {
    return inner.controllers();
  }

  @Override
  public void prepare(CorpusCounts corpus) {
    inner.prepare(corpus);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    if (!(inner.route(x, context) instanceof TokenChoice plan)) {
      throw new MoeException("forced balance needs a router whose tokens choose experts");
    }
    long[] turn = new long[Math.toIntExact(plan.choices().numel())];
    for (int i = 0; i < turn.length; i++) {
      turn[i] = i % plan.expertCount();
    }
    Tensor choices = Tensor.of(turn, plan.tokens(), plan.k()).to(plan.choices().device());
    return plan.choosing(choices, choices.ge(0)).onlyReal(context);
  }
}
