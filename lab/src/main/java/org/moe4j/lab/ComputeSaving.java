package org.moe4j.lab;

import java.util.Comparator;
import java.util.List;
import java.util.OptionalDouble;
import org.moe4j.tensor.MoeException;

/**
 * How many times more compute one family of models needs than another for the same loss (S16,
 * section 3.2): along a family compute is interpolated between the two models whose losses enclose
 * the wanted one, linearly in the loss and in the logarithm of compute.
 *
 * @param curve the family's models
 */
public record ComputeSaving(List<Model> curve) {
  /**
   * A trained model.
   *
   * @param compute what it cost, in any unit larger than 0
   * @param loss what it reached
   */
  public record Model(double compute, double loss) {
    /** Refuses a cost that has no logarithm. */
    public Model {
      if (!(compute > 0 && Double.isFinite(compute)) || !Double.isFinite(loss)) {
        throw new MoeException(
            "a model of compute "
                + compute
                + " and loss "
                + loss
                + "; both must be finite, and"
                + " the compute above 0");
      }
    }
  }

  /** Orders the models by compute. */
  public ComputeSaving {
    curve = curve.stream().sorted(Comparator.comparingDouble(Model::compute)).toList();
  }

  /**
   * The compute with which this family reaches {@code loss}: at the first place where its losses,
   * by growing compute, fall to it. Empty outside of what was trained: nothing is extrapolated.
   */
  public OptionalDouble compute(double loss) {
    for (int i = 1; i < curve.size(); i++) {
      Model below = curve.get(i - 1);
      Model above = curve.get(i);
      if (below.loss >= loss && loss >= above.loss) {
        double r = below.loss == above.loss ? 0 : (below.loss - loss) / (below.loss - above.loss);
        return OptionalDouble.of(
            Math.exp((1 - r) * Math.log(below.compute) + r * Math.log(above.compute)));
      }
    }
    return OptionalDouble.empty();
  }

  /**
   * By how much {@code model} is cheaper than this family at the model's loss; 1 is no saving. A
   * model that is better than all of the family saves at least what its largest one costs, and that
   * is its factor; of one that is worse than all of it nothing is known.
   */
  public OptionalDouble factor(Model model) {
    OptionalDouble needed =
        curve.stream().allMatch(m -> m.loss > model.loss)
            ? curve.stream().mapToDouble(Model::compute).max()
            : compute(model.loss);
    return needed.isPresent()
        ? OptionalDouble.of(needed.getAsDouble() / model.compute)
        : OptionalDouble.empty();
  }
}
