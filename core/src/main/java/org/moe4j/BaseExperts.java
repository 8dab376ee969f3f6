package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The experts of BASE layers (S09): each is a stack of n residual blocks {@code u <- u +
 * FFN(LN(u))} with its own layer norms. What they give is the change f(h) = u_n - h; the mixing
 * with h is the router's weight and the block's residual connection. The last matrix and bias of
 * every block start at zero, so that a new layer changes nothing.
 *
 * <p>Parameters of block i: {@code i.w_in} and so on as in {@link FeedForwardExperts}, {@code
 * i.norm.weight} and {@code i.norm.bias} [E,d]. The paper's blocks are ReLU MLPs with biases; the
 * form is the layer's.
 */
public final class BaseExperts implements Experts {
  /** The number of blocks. */
  static final OptionKey SUBLAYERS =
      OptionKey.whole("sublayers", 1, "residual blocks in each expert");

  private static final double EPS = 1e-5;

  private final int count;
  private final List<FeedForwardExperts> networks = new ArrayList<>();
  private final List<Parameter> scales = new ArrayList<>();
  private final List<Parameter> shifts = new ArrayList<>();

  static RouterEntry.Bank bank() {
    return new RouterEntry.Bank(
        s -> new BaseExperts(s.config(), s.options().whole("sublayers"), s.store(), s.layer()),
        c -> c.experts() * parametersOfOne(c),
        BaseExperts::parametersOfOne,
        c -> 2L * sublayers(c) * c.form().matrices() * c.width() * c.expertWidth());
  }

  private static int sublayers(MoeConfig config) {
    return config.routerEntry().check(config).whole("sublayers");
  }

  private static long parametersOfOne(MoeConfig c) {
    return sublayers(c) * (c.form().parameters(c.width(), c.expertWidth()) + 2L * c.width());
  }

  /**
   * Makes the weights in {@code store}.
   *
   * @param sublayers n, the blocks of each expert
   * @throws MoeException if n is below 1
   */
  public BaseExperts(MoeConfig config, int sublayers, ParameterStore store, int layer) {
    if (sublayers < 1) {
      throw new MoeException("router \"base\": sublayers " + sublayers + "; give at least 1");
    }
    this.count = config.experts();
    for (int i = 0; i < sublayers; i++) {
      ParameterStore here = store.under(Integer.toString(i));
      Role role = new Role.RoutedExperts(layer, count);
      scales.add(here.create("norm.weight", role, Init.constant(1), count, config.width()));
      shifts.add(here.create("norm.bias", role, Init.zeros(), count, config.width()));
      FeedForwardExperts network =
          new FeedForwardExperts(
              config.form(),
              count,
              config.width(),
              config.expertWidth(),
              config.expertDropout(),
              config.init(),
              here,
              layer);
      network.out().tensor().detach().fillInPlace(0);
      networks.add(network);
    }
  }

  @Override
  public int count() {
    return count;
  }

  @Override
  public Tensor forward(ExpertInput input, TokenContext context) {
    Tensor rows = rows(input);
    if (rows.numel() == 0) {
      return rows;
    }
    Tensor change = block(0, rows, input, context);
    for (int i = 1; i < networks.size(); i++) {
      change = change.add(block(i, rows.add(change), input, context));
    }
    return change;
  }

  private Tensor block(int i, Tensor u, ExpertInput input, TokenContext context) {
    Tensor normed =
        Ops.layerNorm(u, null, null, EPS)
            .mul(perRow(scales.get(i), u, input))
            .add(perRow(shifts.get(i), u, input));
    return networks.get(i).forward(with(input, normed), context);
  }

  /** The vectors [E,d] laid out to the rows of their experts. */
  private static Tensor perRow(Parameter vectors, Tensor rows, ExpertInput input) {
    Tensor own = vectors.tensor().to(rows.dtype());
    return switch (input) {
      case ExpertInput.Ragged r -> own.indexSelect(0, Assignment.index(experts(r), rows));
      case ExpertInput.Buffers b -> own.unsqueeze(1);
    };
  }

  private static long[] experts(ExpertInput.Ragged input) {
    long[] expert = new long[Math.toIntExact(input.rows().size(0))];
    int row = 0;
    for (int e = 0; e < input.counts().length; e++) {
      for (long n = 0; n < input.counts()[e]; n++) {
        expert[row++] = e;
      }
    }
    return expert;
  }

  private static Tensor rows(ExpertInput input) {
    return switch (input) {
      case ExpertInput.Ragged r -> r.rows();
      case ExpertInput.Buffers b -> b.rows();
    };
  }

  private static ExpertInput with(ExpertInput input, Tensor rows) {
    return switch (input) {
      case ExpertInput.Ragged r -> new ExpertInput.Ragged(rows, r.counts());
      case ExpertInput.Buffers b -> new ExpertInput.Buffers(rows);
    };
  }
}
