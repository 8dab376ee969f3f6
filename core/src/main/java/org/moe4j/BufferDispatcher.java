package org.moe4j;

import java.util.Arrays;
import org.moe4j.tensor.Tensor;

/**
 * Capacity buffers [E,C,d]: every expert computes C rows, C being the most that any expert serves;
 * unused slots are zero. Which choices find room is {@link Capacity}'s decision, taken before.
 */
public final class BufferDispatcher implements Dispatcher<BufferDispatcher.Filled> {
  /** Buffers and where each row lies in them. */
  public static final class Filled implements State {
    private final ExpertInput.Buffers input;
    private final Assignment assignment;
    private final long[] slots;

    private Filled(ExpertInput.Buffers input, Assignment assignment, long[] slots) {
      this.input = input;
      this.assignment = assignment;
      this.slots = slots;
    }

    @Override
    public ExpertInput.Buffers input() {
      return input;
    }
  }

  @Override
  public Filled dispatch(Tensor x, Routing routing) {
    Assignment a = Assignment.of(routing, x.size(0));
    int experts = a.counts().length;
    long capacity = Arrays.stream(a.counts()).max().orElse(0);
    long[] slots = new long[a.rows()];
    long[] source = new long[Math.toIntExact(experts * capacity)];
    Arrays.fill(source, a.rows());
    int row = 0;
    for (int e = 0; e < experts; e++) {
      for (int c = 0; c < a.counts()[e]; c++, row++) {
        slots[row] = e * capacity + c;
        source[(int) slots[row]] = row;
      }
    }
    Tensor rows = Assignment.withZeroRow(a.gather(x));
    Tensor buffers =
        rows.indexSelect(0, Assignment.index(source, x)).view(experts, capacity, x.size(1));
    return new Filled(new ExpertInput.Buffers(buffers), a, slots);
  }

  @Override
  public Tensor combine(Tensor outputs, Filled state) {
    Tensor flat = outputs.reshape(outputs.size(0) * outputs.size(1), outputs.size(2));
    return state.assignment.combine(flat, state.slots);
  }
}
