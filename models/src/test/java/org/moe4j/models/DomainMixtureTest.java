package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.moe4j.DomainPosterior.History;
import org.moe4j.TokenContext;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** A model of domain experts on text of unknown domain (S14). */
class DomainMixtureTest {
  private static final int N = 3;
  private static final int S = 9;
  private static final double[] PRIOR = {0.5, 0.2, 0.3};
  private final Scope scope = Scope.open();

  @AfterEach
  void close() {
    scope.close();
  }

  private static Decoder model() {
    return Fixed.model(Fixed.config("demix", N, 1, Map.of()), DType.F64);
  }

  private static DomainMixture.Sequences sequences() {
    Tensor all = Tiny.ids(2, S + 1);
    return new DomainMixture.Sequences(
        all.narrow(1, 0, S).contiguous(), all.narrow(1, 1, S).contiguous());
  }

  /** Logits [B,S,V] of a known domain. */
  private static Tensor known(Decoder model, Tensor ids, int domain) {
    try (NoGrad off = NoGrad.open()) {
      TokenContext context =
          TokenContext.eval(ids.size(0), ids.size(1))
              .withDomains(Tensor.full(domain, DType.I64, ids.device(), ids.shape()));
      return model.logits(model.forward(ids, context).hidden());
    }
  }

  /** p_j(target) [n][B*S]. */
  private static double[][] chances(Decoder model, DomainMixture.Sequences batch) {
    double[][] p = new double[N][];
    for (int j = 0; j < N; j++) {
      Tensor all = known(model, batch.ids(), j).softmax(-1);
      p[j] = all.gather(2, batch.targets().unsqueeze(2)).toDoubles();
    }
    return p;
  }

  @ParameterizedTest
  @EnumSource
  void scoresAreThoseOfAnEnumeration(History history) {
    try (Decoder model = model()) {
      DomainMixture mixture = new DomainMixture(model, history);
      mixture.prior(PRIOR);
      DomainMixture.Sequences batch = sequences();
      DomainMixture.Scores scores = mixture.score(batch);
      double[][] p = chances(model, batch);
      double[] mixed = scores.logProbability().toDoubles();
      double[] weights = scores.weights().toDoubles();
      double[] posterior = new double[N];
      for (int b = 0; b < 2; b++) {
        for (int t = 0; t < S; t++) {
          double[] w = PRIOR.clone();
          for (int s = history == History.FULL ? 0 : Math.max(0, t - 1); s < t; s++) {
            for (int j = 0; j < N; j++) {
              w[j] *= p[j][b * S + s];
            }
          }
          if (history == History.LAST_TOKEN && t == 0) {
            Arrays.fill(w, 1);
          }
          double sum = Arrays.stream(w).sum();
          double mixture1 = 0;
          for (int j = 0; j < N; j++) {
            assertThat(weights[(b * S + t) * N + j]).isCloseTo(w[j] / sum, within(1e-9));
            mixture1 += w[j] / sum * p[j][b * S + t];
            posterior[j] += t == S - 1 ? w[j] / sum / 2 : 0;
          }
          assertThat(mixed[b * S + t]).isCloseTo(Math.log(mixture1), within(1e-9));
        }
      }
      assertThat(scores.posterior()).containsExactly(posterior, within(1e-9));
    }
  }

  @ParameterizedTest
  @EnumSource
  void readingOnIsTheMixtureOfWholePasses(History history) {
    try (Decoder model = model()) {
      DomainMixture mixture = new DomainMixture(model, history);
      for (double[] prior : new double[][] {PRIOR, {0.4, 0, 0.6}}) {
        mixture.prior(prior);
        DomainMixture.Sequences batch = sequences();
        Tensor expected = mixture.logits(batch.ids());
        assertThat(expected.logSoftmax(-1).sub(expected).abs().max().item()).isLessThan(1e-5);
        try (Reading reading = mixture.reading(2, S)) {
          int at = 0;
          for (int end : new int[] {1, 4, 5, 6, S}) {
            Tensor next = reading.next(batch.ids().narrow(1, at, end - at).contiguous());
            assertThat(next.toDoubles())
                .containsExactly(
                    expected.select(1, end - 1).contiguous().toDoubles(), within(1e-4));
            at = end;
          }
        }
        Tensor picked =
            expected.gather(2, batch.targets().unsqueeze(2)).reshape(2, S).to(DType.F64);
        assertThat(picked.toDoubles())
            .containsExactly(mixture.score(batch).logProbability().toDoubles(), within(1e-5));
      }
    }
  }

  @Test
  void aCertainPriorIsItsExpert() {
    try (Decoder model = model()) {
      DomainMixture mixture = new DomainMixture(model);
      mixture.prior(new double[] {0, 1, 0});
      DomainMixture.Sequences batch = sequences();
      assertThat(mixture.score(batch).logProbability().exp().toDoubles())
          .containsExactly(chances(model, batch)[1], within(1e-12));
    }
  }

  @Test
  void paddingCountsForNothing() {
    try (Decoder model = model()) {
      DomainMixture mixture = new DomainMixture(model);
      DomainMixture.Sequences batch = sequences();
      double[] whole = mixture.score(batch).logProbability().toDoubles();
      Tensor cut = batch.targets().copy();
      cut.select(0, 1)
          .narrow(0, 5, S - 5)
          .copyInPlace(Tensor.full(-100, DType.I64, cut.device(), S - 5));
      DomainMixture.Scores scores = mixture.score(new DomainMixture.Sequences(batch.ids(), cut));
      double[] some = scores.logProbability().toDoubles();
      assertThat(Arrays.copyOf(some, S + 5)).isEqualTo(Arrays.copyOf(whole, S + 5));
      assertThat(Arrays.copyOfRange(some, S + 5, 2 * S)).containsOnly(0);
      double[] w = scores.weights().toDoubles();
      for (int j = 0; j < N; j++) {
        assertThat(scores.posterior()[j])
            .isCloseTo((w[(S - 1) * N + j] + w[(S + 4) * N + j]) / 2, within(1e-12));
      }
    }
  }

  @Test
  void thePriorFollowsThePosteriorsAndIsSaved(@TempDir Path dir) {
    try (Decoder model = model()) {
      DomainMixture mixture = new DomainMixture(model);
      List<DomainMixture.Sequences> texts = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        Tensor all = Tiny.ids(8, S + 1).narrow(0, 2L * i, 2);
        texts.add(
            new DomainMixture.Sequences(
                all.narrow(1, 0, S).contiguous(), all.narrow(1, 1, S).contiguous()));
      }
      double[] first = mixture.score(texts.get(0)).posterior();
      mixture.update(mixture.score(texts.get(0)));
      assertThat(mixture.prior()).containsExactly(first, within(1e-12));
      double[] second = mixture.score(texts.get(1)).posterior();
      mixture.update(mixture.score(texts.get(1)));
      for (int j = 0; j < N; j++) {
        assertThat(mixture.prior()[j]).isCloseTo(0.7 * first[j] + 0.3 * second[j], within(1e-12));
      }
      double[] two = mixture.prior();
      mixture.cachePrior(texts, 3);
      assertThat(mixture.prior()).containsExactly(two, within(1e-12));
      mixture.cachePrior(texts, DomainMixture.CACHED_SEQUENCES);
      assertThat(mixture.prior()).isNotEqualTo(two);
      mixture.score(texts.get(2));
      double[] cached = mixture.prior();
      HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT.withDtype(DType.F64));
      try (Decoder loaded = HfCheckpoint.load(dir).model()) {
        assertThat(new DomainMixture(loaded).prior()).isEqualTo(cached);
      }
      mixture.resetPrior();
      assertThat(mixture.prior()).containsOnly(1.0 / N);
    }
  }

  @Test
  void anAddedExpertChangesNothingOld(@TempDir Path dir) {
    try (Decoder model = model()) {
      new DomainMixture(model).prior(PRIOR);
      HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT.withDtype(DType.F64));
      try (Decoder loaded = HfCheckpoint.load(dir, Device.CPU, DType.F64).model();
          Decoder more = DomainExperts.add(loaded.withPrecision(DType.F64), 1)) {
        DomainMixture.Sequences batch = sequences();
        for (int j = 0; j < N; j++) {
          assertThat(known(more, batch.ids(), j).toDoubles())
              .isEqualTo(known(model, batch.ids(), j).toDoubles());
        }
        assertThat(known(more, batch.ids(), N).toDoubles())
            .isEqualTo(known(model, batch.ids(), 1).toDoubles());
        assertThat(new DomainMixture(more).prior()).containsExactly(0.5, 0.2, 0.3, 0);
        assertThat(new DomainMixture(more).score(batch).logProbability().toDoubles())
            .containsExactly(
                new DomainMixture(model).score(batch).logProbability().toDoubles(), within(1e-12));
        HfCheckpoint.save(dir, more, HfCheckpoint.SaveOptions.DEFAULT.withDtype(DType.F64));
      }
      try (Decoder again = HfCheckpoint.load(dir).model()) {
        assertThat(new DomainMixture(again).prior()).hasSize(N + 1);
      }
    }
  }

  @Test
  void aRemovedExpertIsOneOfPriorZero() {
    try (Decoder model = model();
        Decoder less = DomainExperts.remove(model, 1)) {
      DomainMixture.Sequences batch = sequences();
      assertThat(known(less, batch.ids(), 1).toDoubles())
          .isEqualTo(known(model, batch.ids(), 2).toDoubles());
      DomainMixture mixture = new DomainMixture(model);
      mixture.prior(new double[] {0.5, 0, 0.3});
      DomainMixture rest = new DomainMixture(less);
      rest.prior(new double[] {0.5, 0.3});
      assertThat(rest.score(batch).logProbability().toDoubles())
          .containsExactly(mixture.score(batch).logProbability().toDoubles(), within(1e-12));
    }
  }

  @Test
  void generationGoesByTheMixture() {
    try (Decoder model = Fixed.model(Fixed.config("demix", N, 1, Map.of()), DType.F32)) {
      DomainMixture mixture = new DomainMixture(model);
      mixture.prior(PRIOR);
      int[] made =
          new Generator(model, Sampling.GREEDY, Set.of())
              .generate(new int[] {3, 17, 42}, 6, t -> true);
      long[] ids = {3, 17, 42};
      for (int token : made) {
        Tensor next = mixture.logits(Tensor.of(ids, 1, ids.length)).select(1, ids.length - 1);
        assertThat((int) next.argmax(-1, false).item()).isEqualTo(token);
        ids = Arrays.copyOf(ids, ids.length + 1);
        ids[ids.length - 1] = token;
      }
    }
  }

  @Test
  void whatCannotBeIsRefused() {
    try (Decoder other = Tiny.model(Tiny.mixtral(), 1);
        Decoder model = model();
        Decoder shared = Fixed.model(Fixed.config("demix", 2, 1, Map.of("domains", 5)), DType.F32);
        Decoder one = Fixed.model(Fixed.config("demix", 1, 1, Map.of()), DType.F32)) {
      refused(() -> new DomainMixture(other), "demix");
      refused(() -> DomainExperts.add(model, 3), "no expert 3");
      refused(() -> DomainExperts.remove(model, -1), "no expert -1");
      refused(() -> DomainExperts.trainOnly(model, 9), "no expert 9");
      refused(() -> DomainExperts.add(shared, 0), "5 domains share 2");
      refused(() -> DomainExperts.remove(one, 0), "only expert");
    }
  }

  private static void refused(ThrowingCallable call, String what) {
    assertThatThrownBy(call).isInstanceOf(MoeException.class).hasMessageContaining(what);
  }
}
