package org.moe4j;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The experts every token visits, as one network whose width is the sum of theirs (S36). Its output
 * is added unweighted, or weighted by a sigmoid gate of its own (Qwen2-MoE): {@code gate} [1,d].
 */
public final class SharedExpert {
  private final FeedForward network;
  private final @Nullable Parameter gate;

  /** Makes the weights in {@code store}; {@code hidden} is the total width. */
  public SharedExpert(
      ExpertForm form,
      int width,
      int hidden,
      boolean gated,
      InitScheme init,
      ParameterStore store,
      int layer) {
    Role role = new Role.SharedExpert(layer);
    this.network = new FeedForward(form, width, hidden, role, init, store);
    this.gate = gated ? store.create("gate", role, init.gate(width), 1, width) : null;
  }

  /** The network. */
  public FeedForward network() {
    return network;
  }

  /** The gate [1,d], if there is one. */
  public Optional<Parameter> gate() {
    return Optional.ofNullable(gate);
  }

  /** {@code x [T,d]} to [T,d]. */
  public Tensor forward(Tensor x) {
    Tensor y = network.forward(x);
    if (gate == null) {
      return y;
    }
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor open = Ops.linear(x.to(type), gate.tensor().to(type), null).sigmoid();
    return y.mul(open.to(x.dtype()));
  }
}
