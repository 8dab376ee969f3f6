package org.moe4j;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * One dense feed-forward network in the experts' layout: {@code w_in} [h or 2h, d], {@code w_out}
 * [d,h], biases where the form has them. It serves as a dense layer, as the shared expert, and as
 * the extra dense network that ST-MoE (S18) puts behind each sparse layer; the norm and the
 * residual around it are the block's.
 */
public final class FeedForward {
  private final ExpertForm form;
  private final Parameter in;
  private final Parameter out;
  private final @Nullable Parameter inBias;
  private final @Nullable Parameter outBias;

  /** Makes the weights in {@code store}. */
  public FeedForward(
      ExpertForm form, int width, int hidden, Role role, InitScheme init, ParameterStore store) {
    this.form = form;
    long rows = form.inRows(hidden);
    this.in = store.create("w_in", role, init.weight(width), rows, width);
    this.out = store.create("w_out", role, init.weight(hidden), width, hidden);
    this.inBias = form.biases() ? store.create("b_in", role, Init.zeros(), rows) : null;
    this.outBias = form.biases() ? store.create("b_out", role, Init.zeros(), width) : null;
  }

  /** The function. */
  public ExpertForm form() {
    return form;
  }

  /** The up projection [h or 2h, d]. */
  public Parameter in() {
    return in;
  }

  /** The down projection [d,h]. */
  public Parameter out() {
    return out;
  }

  /** The up projection's bias. */
  public Optional<Parameter> inBias() {
    return Optional.ofNullable(inBias);
  }

  /** The down projection's bias. */
  public Optional<Parameter> outBias() {
    return Optional.ofNullable(outBias);
  }

  /** {@code x [..., d]} to [..., d], computed in x's type. */
  public Tensor forward(Tensor x) {
    DType type = x.dtype();
    Tensor projected = Ops.linear(x, in.tensor().to(type), cast(inBias, type));
    return Ops.linear(form.hidden(projected), out.tensor().to(type), cast(outBias, type));
  }

  private static @Nullable Tensor cast(@Nullable Parameter p, DType type) {
    return p == null ? null : p.tensor().to(type);
  }
}
