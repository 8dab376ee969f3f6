package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BinaryOperator;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Feed-forward experts whose weights are lent one expert at a time, to whom rows came: most of them
 * need not be in memory. They serve inference and have no gradients. On the CPU they give bit for
 * bit what {@link FeedForwardExperts} of the same weights give.
 */
public interface LentExperts extends Experts {
  /** What is done with an expert's weights. */
  @FunctionalInterface
  interface Use {
    /** With {@code in} [h or 2h, d] and {@code out} [d,h], which it does not keep. */
    void accept(Tensor in, Tensor out);
  }

  /** The function of an expert; without biases and clamps. */
  ExpertForm form();

  /** h, the hidden width of an expert. */
  int expertWidth();

  /**
   * Runs {@code use} with the weights of {@code expert}. Called from several threads at once.
   *
   * @throws MoeException if the weights cannot be had
   */
  void lend(int expert, Use use);

  @Override
  default Tensor forward(ExpertInput input, TokenContext context) {
    return switch (input) {
      case ExpertInput.Ragged r -> {
        BinaryOperator<Tensor> product =
            ExpertInference.serves(r.rows(), context) && ExpertInference.fewRows(r.counts())
                ? ExpertInference::product
                : (x, w) -> Ops.linear(x, w.to(x.dtype()), null);
        List<Tensor> groups = r.rows().split(r.counts(), 0);
        List<Tensor> outputs = new ArrayList<>();
        for (int e = 0; e < count(); e++) {
          if (r.counts()[e] > 0) {
            Tensor rows = groups.get(e);
            lend(
                e,
                (in, out) -> {
                  Tensor hidden = form().hidden(product.apply(rows, in));
                  outputs.add(product.apply(hidden, out));
                });
          }
        }
        yield outputs.isEmpty() ? r.rows() : Tensor.cat(outputs, 0);
      }
      case ExpertInput.Buffers b ->
          throw new MoeException(
              "layer "
                  + context.layer()
                  + ": buffers would need the weights of all experts at once; use the dispatcher"
                  + " \"dropless\"");
    };
  }
}
