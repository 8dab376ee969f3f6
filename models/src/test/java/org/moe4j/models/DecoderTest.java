package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class DecoderTest {
  private Scope scope = Scope.open();

  @BeforeEach
  void open() {
    scope.close();
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  static Stream<DecoderConfig> shapes() {
    return Tiny.shapes();
  }

  private static Tensor logits(Decoder model, Tensor ids) {
    try (NoGrad off = NoGrad.open()) {
      TokenContext context = TokenContext.eval(ids.size(0), ids.size(1));
      return model.logits(model.forward(ids, context).hidden());
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void laterTokensDoNotChangeEarlierLogits(DecoderConfig config) {
    try (Decoder model = Tiny.model(config, 1)) {
      Tensor ids = Tiny.ids(2, 12);
      Tensor before = logits(model, ids).narrow(1, 0, 7).contiguous();
      long[] changed = ids.toLongs();
      for (int i = 0; i < changed.length; i++) {
        changed[i] = i % 12 < 7 ? changed[i] : (changed[i] + 1) % Tiny.VOCAB;
      }
      Tensor all = logits(model, Tensor.of(changed, 2, 12));
      double[] after = all.narrow(1, 0, 7).contiguous().toDoubles();
      assertThat(after).containsExactly(before.toDoubles(), within(1e-5));
      assertThat(all.toDoubles()).isNotEqualTo(logits(model, ids).toDoubles());
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void sequencesOfABatchDoNotMix(DecoderConfig config) {
    try (Decoder model = Tiny.model(config, 2)) {
      Tensor ids = Tiny.ids(3, 9);
      double[] together = logits(model, ids).select(0, 1).contiguous().toDoubles();
      double[] alone = logits(model, ids.narrow(0, 1, 1).contiguous()).toDoubles();
      assertThat(together).containsExactly(alone, within(1e-5));
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void decodingInPiecesEqualsOnePass(DecoderConfig config) {
    try (Decoder model = Tiny.model(config, 3);
        KvCache cache = model.newCache(2, 20);
        NoGrad off = NoGrad.open()) {
      Tensor ids = Tiny.ids(2, 14);
      Tensor whole = logits(model, ids);
      int at = 0;
      for (int piece : new int[] {5, 1, 4, 1, 3}) {
        Tensor last = model.decode(ids.narrow(1, at, piece).contiguous(), cache);
        at += piece;
        double[] expected = whole.select(1, at - 1).contiguous().toDoubles();
        assertThat(last.toDoubles()).containsExactly(expected, within(2e-5));
      }
      assertThat(cache.length()).isEqualTo(14);
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void theConfigurationCountsTheParameters(DecoderConfig config) {
    try (Decoder model = new Decoder(config, new ParameterStore(1))) {
      ParameterStore store = model.parameters();
      ParameterCount count = config.parameters();
      assertThat(count.total()).isEqualTo(store.count(p -> true));
      long active =
          store.all().stream()
              .filter(p -> !(p.role() instanceof Role.State))
              .mapToLong(p -> active(config, p))
              .sum();
      assertThat(count.active()).isEqualTo(active);
    }
  }

  private static long active(DecoderConfig config, Parameter p) {
    long n = p.tensor().numel();
    return switch (p.role()) {
      case Role.RoutedExperts r ->
          n / r.experts() * config.feedForward().get(r.layer()).sparse().orElseThrow().topK();
      case Role.State s -> 0;
      default -> n;
    };
  }

  /** The slope along a random direction of every parameter, in F64, against its gradient. */
  @ParameterizedTest
  @MethodSource("shapes")
  void gradientsAgreeWithFiniteDifferences(DecoderConfig config) {
    try (Decoder f64 = Tiny.model(config, 4, DType.F64)) {
      Decoder model = f64.withPrecision(DType.F64);
      Tensor ids = Tiny.ids(2, 6);
      Tensor targets = Tiny.ids(2, 7).narrow(1, 0, 6).contiguous();
      loss(model, ids, targets).backward();
      RandomSource random = new RandomSource(5);
      for (Parameter p : model.parameters().all()) {
        if (p.isFrozen()) {
          continue;
        }
        Tensor direction = random.normal(0, 1, DType.F64, p.tensor().shape());
        double slope = p.tensor().grad().orElseThrow().mul(direction).sum().item();
        double step = 1e-6;
        Tensor values = p.tensor().detach();
        try (NoGrad off = NoGrad.open()) {
          values.addInPlace(direction, step);
          double up = loss(model, ids, targets).item();
          values.addInPlace(direction, -2 * step);
          double down = loss(model, ids, targets).item();
          values.addInPlace(direction, step);
          assertThat((up - down) / (2 * step))
              .as(p.name())
              .isCloseTo(slope, within(1e-6 * (1 + Math.abs(slope))));
        }
      }
    }
  }

  private static Tensor loss(Decoder model, Tensor ids, Tensor targets) {
    TokenContext context = TokenContext.train(ids.size(0), ids.size(1), new RandomSource(6));
    return model.loss(ids, targets, context).total();
  }

  @Test
  void theLossIsTheMeanOverCountedTargets() {
    try (Decoder model = Tiny.model(Tiny.mixtral(), 7);
        NoGrad off = NoGrad.open()) {
      Tensor ids = Tiny.ids(1, 5);
      long[] targets = {3, LmLoss.IGNORED, 9, LmLoss.IGNORED, 11};
      double[] logP = logits(model, ids).logSoftmax(-1).toDoubles();
      double expected = 0;
      for (int s = 0; s < 5; s++) {
        expected -= targets[s] < 0 ? 0 : logP[s * Tiny.VOCAB + (int) targets[s]] / 3;
      }
      DecoderLoss loss = model.loss(ids, Tensor.of(targets, 1, 5), TokenContext.eval(1, 5));
      assertThat(loss.crossEntropy().item()).isCloseTo(expected, within(1e-5));
      assertThat(loss.output().moe()).containsOnlyKeys(0, 1);
    }
  }

  @Test
  void bf16ActivationsStayNearF32AndMastersStayF32() {
    try (Decoder model =
        new Decoder(Tiny.olmoe().toBuilder().initStd(0.05).build(), new ParameterStore(8))) {
      Tensor ids = Tiny.ids(2, 16);
      double exact = loss(model, ids, ids).item();
      Decoder half = model.withPrecision(DType.BF16);
      Tensor rounded = loss(half, ids, ids);
      assertThat(rounded.dtype()).isEqualTo(DType.F32);
      assertThat(rounded.item()).isCloseTo(exact, within(0.02 * exact));
      rounded.backward();
      DecoderOutput out = half.forward(ids, TokenContext.eval(2, 16));
      assertThat(out.hidden().dtype()).isEqualTo(DType.BF16);
      for (Parameter p : model.parameters().all()) {
        assertThat(p.tensor().grad().orElseThrow().dtype()).isEqualTo(DType.F32);
      }
    }
  }

  @Test
  void wrongInputsAreTold() {
    try (Decoder model = Tiny.model(Tiny.dense(), 9)) {
      assertThatThrownBy(() -> logits(model, Tiny.ids(1, 65)))
          .isInstanceOf(MoeException.class)
          .hasMessageContainingAll("65 tokens", "max_positions 64");
      assertThatThrownBy(() -> logits(model, Tiny.ids(1, 6).to(DType.F32)))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("token ids");
      assertThatThrownBy(() -> model.withPrecision(DType.I64)).isInstanceOf(MoeException.class);
      assertThatThrownBy(() -> model.newCache(1, 65)).hasMessageContaining("max_positions");
    }
  }
}
