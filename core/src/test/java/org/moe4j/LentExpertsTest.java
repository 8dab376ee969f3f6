package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Experts that are lent one at a time against the same weights in one stack. */
class LentExpertsTest {
  private final Scope scope = Scope.open();
  private final int threads = Ops.threads();
  private final RandomSource random = new RandomSource(11);

  @AfterEach
  void close() {
    Ops.threads(threads);
    scope.close();
  }

  /** Lends copies of a bank's slices, so that nothing but values can be the same. */
  private static final class Copies implements LentExperts {
    private final FeedForwardExperts bank;
    private final Set<Integer> lent = ConcurrentHashMap.newKeySet();

    Copies(FeedForwardExperts bank) {
      this.bank = bank;
    }

    @Override
    public int count() {
      return bank.count();
    }

    @Override
    public ExpertForm form() {
      return bank.form();
    }

    @Override
    public int expertWidth() {
      return (int) bank.out().tensor().size(2);
    }

    @Override
    public void lend(int expert, Use use) {
      lent.add(expert);
      use.accept(
          bank.in().tensor().detach().select(0, expert).copy(),
          bank.out().tensor().detach().select(0, expert).copy());
    }
  }

  private MoeLayer whole(ExpertForm form, DType dtype) {
    MoeConfig config = MoeConfig.builder(24, 40, 6, 2).form(form).init(InitScheme.T5).build();
    return new MoeLayer(config, new ParameterStore(random, Device.CPU, dtype), 3);
  }

  private static MoeLayer around(LentExperts experts, MoeLayer whole) {
    return MoeLayer.around(experts, whole.config(), new ParameterStore(1), 3)
        .withRouter(own -> whole.router());
  }

  @ParameterizedTest
  @CsvSource({
    "F32, F32, 1, 2",
    "F32, F32, 7, 1",
    "F32, F32, 900, 2",
    "BF16, BF16, 33, 2",
    "BF16, F32, 33, 2",
    "F64, F64, 50, 2"
  })
  void theSameBits(DType held, DType computed, int tokens, int threads) {
    Ops.threads(threads);
    for (ExpertForm form : new ExpertForm[] {ExpertForm.SWIGLU, ExpertForm.RELU}) {
      MoeLayer whole = whole(form, held);
      Copies copies = new Copies((FeedForwardExperts) whole.experts());
      Tensor x = random.normal(0, 1, DType.F32, tokens, 24).to(computed);
      TokenContext context = TokenContext.eval(1, tokens);
      try (NoGrad off = NoGrad.open()) {
        MoeOutput out = whole.forward(x, context);
        Tensor lent = around(copies, whole).forward(x, context).output();
        assertThat(lent.dtype()).isEqualTo(computed);
        assertThat(lent.toDoubles()).isEqualTo(out.output().toDoubles());
        Set<Integer> chosen = ConcurrentHashMap.newKeySet();
        for (long e : ((TokenChoice) out.routing()).experts().toLongs()) {
          chosen.add((int) e);
        }
        assertThat(copies.lent).isEqualTo(chosen);
      }
    }
  }

  /** The path of other devices, which takes each expert's rows as a group. */
  @Test
  void theSameBitsInGroups() {
    FeedForwardExperts bank = (FeedForwardExperts) whole(ExpertForm.SWIGLU, DType.F32).experts();
    Tensor rows = random.normal(0, 1, DType.F32, 9, 24);
    ExpertInput input = new ExpertInput.Ragged(rows, new long[] {0, 4, 0, 3, 2, 0});
    TokenContext context = TokenContext.eval(1, 9);
    assertThat(new Copies(bank).forward(input, context).toFloats())
        .isEqualTo(bank.forward(input, context).toFloats());
    ExpertInput nothing = new ExpertInput.Ragged(rows.narrow(0, 0, 0), new long[6]);
    assertThat(new Copies(bank).forward(nothing, context).shape()).containsExactly(0, 24);
  }

  @Test
  void whatTheyDoNotServe() {
    MoeLayer whole = whole(ExpertForm.RELU, DType.F32);
    Copies copies = new Copies((FeedForwardExperts) whole.experts());
    MoeLayer lent = around(copies, whole);
    Tensor x = random.normal(0, 1, DType.F32, 4, 24);
    assertThatThrownBy(() -> lent.forward(x, TokenContext.train(1, 4, random)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("layer 3")
        .hasMessageContaining("not trained");
    Tensor y = lent.forward(x.copy().requiresGrad(true), TokenContext.eval(1, 4)).output();
    assertThatThrownBy(() -> y.sum().backward()).hasMessageContaining("no gradients");
    MoeConfig buffers = whole.config().toBuilder().dispatch(Dispatch.BUFFERS).build();
    MoeLayer wrong = MoeLayer.around(copies, buffers, new ParameterStore(1), 3);
    assertThatThrownBy(() -> wrong.forward(x, TokenContext.eval(1, 4)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("dropless");
    MoeConfig more = whole.config().toBuilder().experts(7).build();
    assertThatThrownBy(() -> MoeLayer.around(copies, more, new ParameterStore(1), 3))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("given 6 experts, the configuration has 7");
  }
}
