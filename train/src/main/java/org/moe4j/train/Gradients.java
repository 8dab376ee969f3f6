package org.moe4j.train;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.moe4j.Parameter;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NativeOp;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** All gradients of a model together. */
final class Gradients {
  private Gradients() {}

  /**
   * The Euclidean norm over all gradients of what is trained; not finite exactly if one of them is
   * not.
   */
  static double norm(Collection<Parameter> parameters) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      NativeOp norm = NativeOp.of("linalg_vector_norm");
      List<Tensor> norms = new ArrayList<>();
      for (Parameter p : parameters) {
        for (Tensor g : p.tensor().grad().map(whole -> parts(p, whole)).orElse(List.of())) {
          norms.add(norm.call(g, 2.0, null, false, DType.F32));
        }
      }
      return norms.isEmpty() ? 0 : norm.call(Tensor.stack(norms, 0), 2.0, null, false, null).item();
    }
  }

  /** Forgets all gradients. */
  static void clear(Collection<Parameter> parameters) {
    parameters.forEach(p -> p.tensor().clearGrad());
  }

  /** What of a gradient moves the parameter: its rows, or the parts that are trained. */
  private static List<Tensor> parts(Parameter p, Tensor gradient) {
    return gradient.isRows() ? List.of(gradient.rowValues()) : p.trained(gradient);
  }
}
