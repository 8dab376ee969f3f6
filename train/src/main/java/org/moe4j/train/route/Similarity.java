package org.moe4j.train.route;

import java.util.List;
import java.util.Optional;
import org.moe4j.Parameter;
import org.moe4j.Role;
import org.moe4j.models.Decoder;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * The cosines between the experts of a layer, by their weights or by their rows of the router.
 *
 * @param experts E
 * @param triangle (1,0), (2,0), (2,1), ...; NaN beside a row of zeros
 */
public record Similarity(int experts, double[] triangle) {
  private static final int MOST_EXPERTS = 1024;
  private static final long SLICE_ELEMENTS = 1 << 24;

  /** Of the experts' weights, all matrices of an expert as one vector. */
  static Optional<Similarity> ofExperts(Decoder model, int layer, int experts) {
    return of(
        experts,
        model.parameters().all().stream()
            .filter(p -> p.role() instanceof Role.RoutedExperts r && r.layer() == layer)
            .filter(p -> p.tensor().size(0) == experts)
            .map(Parameter::tensor)
            .toList());
  }

  /** Of the router's rows, which are compared with a token to score the experts. */
  static Optional<Similarity> ofRouter(Decoder model, int layer, int experts) {
    return of(
        experts,
        model.parameters().all().stream()
            .filter(p -> p.role() instanceof Role.Gate g && g.layer() == layer)
            .map(Parameter::tensor)
            .filter(t -> t.dim() == 2 && t.size(0) == experts)
            .limit(1)
            .toList());
  }

  /** Of the rows that {@code parts} make up together, each [E, ...]; none without parts. */
  static Optional<Similarity> of(int experts, List<Tensor> parts) {
    if (parts.isEmpty() || experts > MOST_EXPERTS) {
      return Optional.empty();
    }
    double[] products = new double[experts * experts];
    for (Tensor part : parts) {
      long columns = part.numel() / experts;
      long slice = Math.max(1, SLICE_ELEMENTS / experts);
      for (long from = 0; from < columns; from += slice) {
        add(products, part, from, Math.min(slice, columns - from));
      }
    }
    double[] triangle = new double[experts * (experts - 1) / 2];
    for (int i = 0; i < experts; i++) {
      for (int j = 0; j < i; j++) {
        double norms = Math.sqrt(products[i * experts + i] * products[j * experts + j]);
        double cosine = norms > 0 ? products[i * experts + j] / norms : Double.NaN;
        triangle[PairCounts.at(i, j)] = Math.clamp(cosine, -1, 1);
      }
    }
    return Optional.of(new Similarity(experts, triangle));
  }

  private static void add(double[] products, Tensor part, long from, long columns) {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Tensor rows = part.detach().reshape(part.size(0), part.numel() / part.size(0));
      Tensor slice = rows.narrow(1, from, columns).to(DType.F32);
      double[] gram = slice.mm(slice.t()).toDoubles();
      for (int i = 0; i < gram.length; i++) {
        products[i] += gram[i];
      }
    }
  }

  /** The mean over all pairs; NaN of a single expert. */
  public double mean() {
    double sum = 0;
    for (double cosine : triangle) {
      sum += cosine;
    }
    return sum / triangle.length;
  }
}
