package org.moe4j.models;

import java.util.List;
import org.moe4j.Capacity;
import org.moe4j.Controller;
import org.moe4j.Router;
import org.moe4j.Routing;
import org.moe4j.Selection;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.tensor.Tensor;

/**
 * Switch's top-1 gate as transformers computes it: the probabilities are rounded to the type of the
 * activations before the best is chosen, so that in BF16 near ones are equal and the lower index
 * wins; then the capacity drops what an expert has no room for. The rows that are left need no
 * buffers.
 */
record SwitchGate(Router inner, Capacity capacity) implements Router {
  @Override
  public Routing route(Tensor x, TokenContext context) {
    if (!(inner.route(x, context) instanceof TokenChoice plan)) {
      throw new IllegalStateException("tokens choose the experts of these models");
    }
    return capacity.apply(rounded(plan, x, context), context);
  }

  private static TokenChoice rounded(TokenChoice plan, Tensor x, TokenContext context) {
    Tensor exact = plan.evidence().probabilities().orElseThrow();
    if (exact.dtype() == x.dtype()) {
      return plan;
    }
    Tensor p = exact.to(x.dtype());
    Tensor choices = Selection.top(p, 1);
    return TokenChoice.of(
            plan.expertCount(), choices, p.gather(1, choices), plan.gating(), plan.evidence())
        .onlyReal(context);
  }

  @Override
  public List<Controller> controllers() {
    return inner.controllers();
  }
}
