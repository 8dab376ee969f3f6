package org.moe4j.models;

import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Products;
import org.moe4j.tensor.Tensor;

/**
 * {@code y = x W^T} with its own gradient: products are split over the workers, and the gradient of
 * W goes straight into the parameter, in the parameter's type.
 */
final class LinearKernel {
  private LinearKernel() {}

  /** {@code x [..., in]} to {@code [..., out]} in the type of x; W [out, in] of any type. */
  static Tensor apply(Tensor x, Tensor weight) {
    if (x.device() != Device.CPU || !weight.isLeaf()) {
      return Ops.linear(x, weight.to(x.dtype()), null);
    }
    long[] shape = x.shape();
    long in = shape[shape.length - 1];
    shape[shape.length - 1] = weight.size(0);
    return OwnGradient.apply(
            inputs -> forward(inputs[0], weight), weight.requiresGrad(), x.reshape(-1, in))
        .view(shape);
  }

  /** The pair of passes for {@code x [T, in]}, without recording. */
  static OwnGradient.Result forward(Tensor x, Tensor weight) {
    Tensor own = weight.detach().to(x.dtype());
    Tensor y = Tensor.empty(x.dtype(), Device.CPU, x.size(0), weight.size(0));
    Products.into(y, x, own.t());
    return new OwnGradient.Result(
        y,
        (gradient, needed) -> {
          Tensor dy = gradient.contiguous();
          if (weight.requiresGrad()) {
            addGradient(weight, dy.t(), x);
          }
          return new @Nullable Tensor[] {needed[0] ? times(dy, own) : null};
        },
        x,
        own);
  }

  private static Tensor times(Tensor a, Tensor b) {
    Tensor product = Tensor.empty(a.dtype(), Device.CPU, a.size(0), b.size(1));
    Products.into(product, a, b);
    return product;
  }

  /** Adds {@code a b} to the gradient of the leaf {@code w}. */
  static void addGradient(Tensor w, Tensor a, Tensor b) {
    w.grad()
        .ifPresentOrElse(
            gradient -> Products.addInto(gradient, a, b),
            () -> {
              Tensor gradient = Tensor.empty(w.dtype(), Device.CPU, w.shape());
              Products.into(gradient, a, b);
              w.setGrad(gradient);
            });
  }
}
