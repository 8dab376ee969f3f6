package org.moe4j;

import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The recurrent cell that all layers of a model share (S55), with the gate convention of torch's
 * GRUCell: the reset gate multiplies {@code W_hn h + b_hn} inside the candidate.
 *
 * <p>Input and state have width p; weights are packed as reset, update, candidate.
 */
final class RecurrentCell {
  /** The kind of cell. */
  enum Kind {
    /** Reset and update gates: the paper's. */
    GRU(3),
    /** tanh(W x + b + U h + c) alone: its ablation. */
    RNN(1);

    private final int parts;

    Kind(int parts) {
      this.parts = parts;
    }

    /** Parameters of a cell of width p. */
    long parameters(long p) {
      return 2L * parts * p * (p + 1);
    }

    /** Floating-point operations per token. */
    long flops(long p) {
      return 4L * parts * p * p;
    }
  }

  private final Kind kind;
  private final int width;
  private final Parameter inputWeight;
  private final Parameter stateWeight;
  private final Parameter inputBias;
  private final Parameter stateBias;

  /** Makes or finds {@code router_rnn.*} in the model that {@code store} belongs to. */
  RecurrentCell(Kind kind, int width, Init init, ParameterStore store, int layer) {
    this.kind = kind;
    this.width = width;
    long rows = (long) kind.parts * width;
    Role role = new Role.Gate(layer);
    this.inputWeight = store.shared("router_rnn.weight_ih", role, init, rows, width);
    this.stateWeight = store.shared("router_rnn.weight_hh", role, init, rows, width);
    this.inputBias = store.shared("router_rnn.bias_ih", role, Init.zeros(), rows);
    this.stateBias = store.shared("router_rnn.bias_hh", role, Init.zeros(), rows);
  }

  /** The next state [T,p] from input x [T,p] and state h [T,p], all of one type. */
  Tensor next(Tensor x, Tensor h) {
    DType type = x.dtype();
    Tensor a = Ops.linear(x, inputWeight.tensor().to(type), inputBias.tensor().to(type));
    Tensor b = Ops.linear(h, stateWeight.tensor().to(type), stateBias.tensor().to(type));
    if (kind == Kind.RNN) {
      return a.add(b).tanh();
    }
    List<Tensor> in = a.split(new long[] {width, width, width}, 1);
    List<Tensor> state = b.split(new long[] {width, width, width}, 1);
    Tensor reset = in.get(0).add(state.get(0)).sigmoid();
    Tensor update = in.get(1).add(state.get(1)).sigmoid();
    Tensor candidate = in.get(2).add(reset.mul(state.get(2))).tanh();
    return candidate.add(update.mul(h.sub(candidate)));
  }
}
