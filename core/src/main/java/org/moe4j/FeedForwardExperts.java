package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * E feed-forward experts (MLP or GLU) with stacked weights: {@code w_in} [E, h or 2h, d] (of a GLU
 * rows 0..h-1 are the gate, h..2h-1 the up projection), {@code w_out} [E,d,h], and where the form
 * has biases {@code b_in} [E, h or 2h] and {@code b_out} [E,d]. They compute in the type of their
 * input.
 */
public final class FeedForwardExperts implements Experts {
  private final ExpertForm form;
  private final int count;
  private final double dropout;
  private final Parameter in;
  private final Parameter out;
  private final @Nullable Parameter inBias;
  private final @Nullable Parameter outBias;

  /**
   * Makes the weights in {@code store}.
   *
   * @param dropout chance of a hidden activation to be zeroed in training (S06's expert dropout)
   */
  public FeedForwardExperts(
      ExpertForm form,
      int count,
      int width,
      int hidden,
      double dropout,
      InitScheme init,
      ParameterStore store,
      int layer) {
    this(
        form, count, width, hidden, dropout, init.weight(width), init.weight(hidden), store, layer);
  }

  /** As above with the start of {@code w_in} and of {@code w_out}. */
  FeedForwardExperts(
      ExpertForm form,
      int count,
      int width,
      int hidden,
      double dropout,
      Init startIn,
      Init startOut,
      ParameterStore store,
      int layer) {
    this.form = form;
    this.count = count;
    this.dropout = dropout;
    Role role = new Role.RoutedExperts(layer, count);
    long rows = form.inRows(hidden);
    this.in = store.create("w_in", role, startIn, count, rows, width);
    this.out = store.create("w_out", role, startOut, count, width, hidden);
    this.inBias = form.biases() ? store.create("b_in", role, Init.zeros(), count, rows) : null;
    this.outBias = form.biases() ? store.create("b_out", role, Init.zeros(), count, width) : null;
  }

  /** The function of an expert. */
  public ExpertForm form() {
    return form;
  }

  @Override
  public int count() {
    return count;
  }

  /** Stacked up projections [E, h or 2h, d]. */
  public Parameter in() {
    return in;
  }

  /** Stacked down projections [E,d,h]. */
  public Parameter out() {
    return out;
  }

  /** Biases of the up projections [E, h or 2h]. */
  public Optional<Parameter> inBias() {
    return Optional.ofNullable(inBias);
  }

  /** Biases of the down projections [E,d]. */
  public Optional<Parameter> outBias() {
    return Optional.ofNullable(outBias);
  }

  /** Chance of a hidden activation to be zeroed in training. */
  public double dropout() {
    return dropout;
  }

  @Override
  public Tensor forward(ExpertInput input, TokenContext context) {
    return switch (input) {
      case ExpertInput.Ragged r -> ragged(r, context);
      case ExpertInput.Buffers b -> batched(b.rows(), context);
    };
  }

  private Tensor batched(Tensor rows, TokenContext context) {
    DType type = rows.dtype();
    Tensor projected = rows.bmm(in.tensor().to(type).transpose(1, 2));
    if (inBias != null) {
      projected = projected.add(inBias.tensor().to(type).unsqueeze(1));
    }
    Tensor y = hidden(projected, context).bmm(out.tensor().to(type).transpose(1, 2));
    return outBias == null ? y : y.add(outBias.tensor().to(type).unsqueeze(1));
  }

  private Tensor ragged(ExpertInput.Ragged input, TokenContext context) {
    Tensor rows = input.rows();
    if (rows.size(0) == 0) {
      return rows;
    }
    if (ExpertInference.serves(rows, context)) {
      return ExpertInference.forward(this, rows, input.counts());
    }
    DType type = rows.dtype();
    // Unbinding and splitting go back as one stack and one concatenation.
    List<Tensor> wIn = in.tensor().to(type).unbind(0);
    List<Tensor> wOut = out.tensor().to(type).unbind(0);
    List<Tensor> bIn = unbound(inBias, type);
    List<Tensor> bOut = unbound(outBias, type);
    List<Tensor> groups = rows.split(input.counts(), 0);
    List<Tensor> outputs = new ArrayList<>();
    for (int e = 0; e < count; e++) {
      if (input.counts()[e] > 0) {
        Tensor projected = Ops.linear(groups.get(e), wIn.get(e), at(bIn, e));
        Tensor hidden = hidden(projected, context);
        outputs.add(Ops.linear(hidden, wOut.get(e), at(bOut, e)));
      }
    }
    return Tensor.cat(outputs, 0);
  }

  private static List<Tensor> unbound(@Nullable Parameter stacked, DType type) {
    return stacked == null ? List.of() : stacked.tensor().to(type).unbind(0);
  }

  private static @Nullable Tensor at(List<Tensor> biases, int e) {
    return biases.isEmpty() ? null : biases.get(e);
  }

  private Tensor hidden(Tensor projected, TokenContext context) {
    Tensor hidden = form.hidden(projected);
    return context.training() && dropout > 0
        ? Ops.dropout(hidden, dropout, context.random())
        : hidden;
  }
}
