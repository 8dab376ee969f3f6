package org.moe4j;

import java.util.stream.LongStream;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Ragged groups: rows are sorted by expert and computed without padding or dropping (S01's ragged
 * batches, S25's dropless layer). Choices that a capacity dropped before are simply absent.
 */
public final class DroplessDispatcher implements Dispatcher<DroplessDispatcher.Sorted> {
  /** Rows sorted by expert. */
  public static final class Sorted implements State {
    private final ExpertInput.Ragged input;
    private final Assignment assignment;

    private Sorted(ExpertInput.Ragged input, Assignment assignment) {
      this.input = input;
      this.assignment = assignment;
    }

    @Override
    public ExpertInput.Ragged input() {
      return input;
    }
  }

  @Override
  public Sorted dispatch(Tensor x, Routing routing) {
    return sorted(x, Assignment.of(routing, x.size(0)));
  }

  private static Sorted sorted(Tensor x, Assignment a) {
    return new Sorted(new ExpertInput.Ragged(a.gather(x), a.counts()), a);
  }

  @Override
  public Tensor combine(Tensor outputs, Sorted state) {
    long[] identity = LongStream.range(0, state.assignment.rows()).toArray();
    return state.assignment.combine(outputs, identity);
  }

  /**
   * As the two verbs one after the other, where it is faster by one kernel with its own gradient.
   */
  @Override
  public Tensor apply(Tensor x, Routing routing, Experts experts, TokenContext context) {
    Assignment a = Assignment.of(routing, x.size(0));
    if (experts instanceof LentExperts && context.training()) {
      throw new MoeException(
          "layer "
              + context.layer()
              + ": experts that are lent one at a time are not trained; load all of them");
    }
    boolean few = ExpertInference.serves(x, context) && ExpertInference.fewRows(a.counts());
    if (!few
        && experts instanceof FeedForwardExperts bank
        && DroplessKernel.serves(x, routing, bank, context)) {
      return DroplessKernel.apply(x, a, bank);
    }
    if (!few && experts instanceof LentExperts bank && DroplessKernel.serves(x, routing)) {
      return DroplessKernel.apply(x, a, bank);
    }
    Sorted sorted = sorted(x, a);
    return combine(experts.forward(sorted.input(), context), sorted);
  }
}
