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
    Assignment a = Assignment.of(routing, x.size(0));
    return new Sorted(new ExpertInput.Ragged(a.gather(x), a.counts()), a);
  }

  @Override
  public Tensor combine(Tensor outputs, Sorted state) {
    long[] identity = LongStream.range(0, state.assignment.rows()).toArray();
    return state.assignment.combine(outputs, identity);
  }

  /** As the two verbs one after the other, where possible by one kernel with its own gradient. */
  @Override
  public Tensor apply(Tensor x, Routing routing, Experts experts, TokenContext context) {
    if (experts instanceof FeedForwardExperts bank
        && DroplessKernel.serves(x, routing, bank, context)) {
      return DroplessKernel.apply(x, Assignment.of(routing, x.size(0)), bank);
    }
    if (experts instanceof LentExperts bank) {
      if (context.training()) {
        throw new MoeException(
            "layer "
                + context.layer()
                + ": experts that are lent one at a time are not trained; load all of them");
      }
      if (DroplessKernel.serves(x, routing)) {
        return DroplessKernel.apply(x, Assignment.of(routing, x.size(0)), bank);
      }
    }
    return Dispatcher.super.apply(x, routing, experts, context);
  }
}
