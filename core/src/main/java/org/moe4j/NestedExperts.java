package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Experts nested in the weights of one (S54, section 3.1): expert i of E (from 0) reads the first
 * {@code m = d 2^(i+1-E)} of its input's d features, computes the whole hidden width, and writes
 * the first m features; the others are 0. The last expert is the plain feed-forward network. The
 * weights are {@code w_in} [h or 2h, d] and {@code w_out} [d,h], where the form has biases {@code
 * b_in} and {@code b_out}; each pass trains only the part it used.
 */
public final class NestedExperts implements Experts {
  private final ExpertForm form;
  private final int count;
  private final int width;
  private final double dropout;
  private final Parameter in;
  private final Parameter out;
  private final @Nullable Parameter inBias;
  private final @Nullable Parameter outBias;

  /** The registry's account of these experts, at a mean width of {@code mean} of the whole. */
  static RouterEntry.Bank bank(ToDoubleFunction<MoeConfig> mean) {
    return new RouterEntry.Bank(
        s -> {
          MoeConfig c = s.config();
          return new NestedExperts(
              c.form(),
              c.experts(),
              c.width(),
              c.expertWidth(),
              c.expertDropout(),
              c.init(),
              s.store(),
              s.layer());
        },
        c -> c.form().parameters(c.width(), c.expertWidth()),
        c -> Math.round(mean.applyAsDouble(c) * c.form().parameters(c.width(), c.expertWidth())),
        c ->
            Math.round(
                mean.applyAsDouble(c) * 2 * c.form().matrices() * c.width() * c.expertWidth()));
  }

  /**
   * Makes the weights in {@code store}.
   *
   * @throws MoeException if the width cannot be halved E - 1 times
   */
  public NestedExperts(
      ExpertForm form,
      int count,
      int width,
      int hidden,
      double dropout,
      InitScheme init,
      ParameterStore store,
      int layer) {
    check(width, count);
    this.form = form;
    this.count = count;
    this.width = width;
    this.dropout = dropout;
    Role role = new Role.SharedExpert(layer);
    long rows = form.inRows(hidden);
    this.in = store.create("w_in", role, init.weight(width), rows, width);
    this.out = store.create("w_out", role, init.weight(hidden), width, hidden);
    this.inBias = form.biases() ? store.create("b_in", role, Init.zeros(), rows) : null;
    this.outBias = form.biases() ? store.create("b_out", role, Init.zeros(), width) : null;
  }

  /** Refuses a width that has no E nested parts. */
  static void check(int width, int experts) {
    if (experts > 31 || width % (1 << (experts - 1)) != 0) {
      throw new MoeException(
          experts
              + " nested experts need a width that can be halved "
              + (experts - 1)
              + " times, not "
              + width
              + "; lower the number of experts or change the width");
    }
  }

  @Override
  public int count() {
    return count;
  }

  /** Features that expert {@code e} reads and writes. */
  public int width(int e) {
    return width >> (count - 1 - e);
  }

  @Override
  public Tensor forward(ExpertInput input, TokenContext context) {
    List<Tensor> outputs = new ArrayList<>();
    return switch (input) {
      case ExpertInput.Ragged r -> {
        if (r.rows().size(0) == 0) {
          yield r.rows();
        }
        List<Tensor> groups = r.rows().split(r.counts(), 0);
        for (int e = 0; e < count; e++) {
          if (r.counts()[e] > 0) {
            outputs.add(compute(e, groups.get(e), context));
          }
        }
        yield Tensor.cat(outputs, 0);
      }
      case ExpertInput.Buffers b -> {
        for (int e = 0; e < count; e++) {
          outputs.add(compute(e, b.rows().select(0, e), context));
        }
        yield Tensor.stack(outputs, 0);
      }
    };
  }

  /** Rows [n,d] by expert {@code e}. */
  private Tensor compute(int e, Tensor rows, TokenContext context) {
    DType type = rows.dtype();
    int part = width(e);
    Tensor projected =
        Ops.linear(
            rows.narrow(1, 0, part),
            in.tensor().to(type).narrow(1, 0, part),
            inBias == null ? null : inBias.tensor().to(type));
    Tensor hidden = form.hidden(projected);
    if (context.training() && dropout > 0) {
      hidden = Ops.dropout(hidden, dropout, context.random());
    }
    Tensor y =
        Ops.linear(
            hidden,
            out.tensor().to(type).narrow(0, 0, part),
            outBias == null ? null : outBias.tensor().to(type).narrow(0, 0, part));
    if (part == width) {
      return y;
    }
    Tensor zeros = Tensor.zeros(type, rows.device(), rows.size(0), width - part);
    return Tensor.cat(List.of(y, zeros), 1);
  }
}
