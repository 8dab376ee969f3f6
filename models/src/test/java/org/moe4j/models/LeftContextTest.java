package org.moe4j.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.CorpusCounts;
import org.moe4j.Parameter;
import org.moe4j.TokenContext;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.models.hf.HfLayout;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Routers of token ids inside a model: told the vocabulary, decoding and saved. */
class LeftContextTest {
  private final Scope scope = Scope.open();

  @AfterEach
  void close() {
    scope.close();
  }

  static List<DecoderConfig> routers() {
    return List.of(
        Fixed.config("hash", 5, 1, Map.of()),
        Fixed.config("hash", 5, 1, Map.of("table", "balanced")),
        Fixed.config("hash-ngram", 5, 1, Map.of()),
        Fixed.config("hash-ngram", 5, 1, Map.of("n", 3)),
        Fixed.config("hash-ngram", 5, 1, Map.of("reads", "previous")),
        Fixed.config("hash-ngram", 5, 1, Map.of("reads", "position")),
        Fixed.config("multi-hash", 5, 2, Map.of()),
        Fixed.config("mocle", 5, 2, Map.of("clusters", 3, "embedding", 8)));
  }

  private static Decoder model(DecoderConfig config) {
    Decoder model = Fixed.model(config, DType.F32);
    long[] counts = new long[Tiny.VOCAB];
    Arrays.setAll(counts, v -> 1 + 500 / (v + 1));
    model.prepare(new CorpusCounts(counts, new long[0]));
    return model;
  }

  private static Tensor whole(Decoder model, Tensor ids) {
    try (NoGrad off = NoGrad.open()) {
      Tensor unknown = Tensor.full(-1, DType.I64, ids.device(), ids.shape());
      TokenContext context = TokenContext.eval(ids.size(0), ids.size(1)).withDomains(unknown);
      return model.logits(model.forward(ids, context).hidden());
    }
  }

  @ParameterizedTest
  @MethodSource("routers")
  void decodingStepByStepIsReadingAtOnce(DecoderConfig config) {
    try (Decoder model = model(config);
        NoGrad off = NoGrad.open();
        KvCache cache = model.newCache(2, 14)) {
      Tensor ids = Tiny.ids(2, 14);
      Tensor expected = whole(model, ids);
      int[] ends = {4, 5, 6, 10, 11, 14};
      int at = 0;
      for (int end : ends) {
        Tensor logits = model.decode(ids.narrow(1, at, end - at).contiguous(), cache);
        assertThat(logits.toDoubles())
            .containsExactly(expected.select(1, end - 1).contiguous().toDoubles(), within(1e-4));
        at = end;
      }
      // What is forgotten is no left context any more.
      cache.truncate(5);
      Tensor again = model.decode(ids.narrow(1, 5, 1).contiguous(), cache);
      assertThat(again.toDoubles())
          .containsExactly(expected.select(1, 5).contiguous().toDoubles(), within(1e-4));
    }
  }

  @ParameterizedTest
  @MethodSource("routers")
  void aCheckpointHoldsTablesAndAll(DecoderConfig config, @TempDir Path dir) {
    try (Decoder model = model(config)) {
      assertThat(HfCheckpoint.save(dir, model, HfCheckpoint.SaveOptions.DEFAULT).layout())
          .isEqualTo(HfLayout.MOE4J);
      try (Decoder loaded = HfCheckpoint.load(dir).model()) {
        assertThat(loaded.config().parameters()).isEqualTo(model.config().parameters());
        for (Parameter p : model.parameters().all()) {
          Tensor other = loaded.parameters().named(p.name()).tensor();
          assertThat(other.dtype()).isEqualTo(p.tensor().dtype());
          // Longs for the seeds of hashes, which no double holds.
          assertThat(other.toLongs()).isEqualTo(p.tensor().toLongs());
          assertThat(other.toDoubles()).isEqualTo(p.tensor().toDoubles());
        }
        Tensor ids = Tiny.ids(2, 9);
        assertThat(whole(loaded, ids).toFloats()).isEqualTo(whole(model, ids).toFloats());
      }
    }
  }
}
