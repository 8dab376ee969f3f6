package org.moe4j.models.hf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.MoeOutput;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderOutput;
import org.moe4j.models.Generator;
import org.moe4j.models.KvCache;
import org.moe4j.models.Sampling;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Every family's checkpoints, against what transformers makes of them ({@code make_families.py}).
 */
class FamilyTest {
  private static final double LOGITS = 2e-4;
  private static int threads;

  @BeforeAll
  static void oneThread() {
    threads = Ops.threads();
    Ops.threads(1);
  }

  @AfterAll
  static void allThreads() {
    Ops.threads(threads);
  }

  static List<String> settings() throws IOException, URISyntaxException {
    try (Stream<Path> folders = Files.list(families())) {
      return folders
          .filter(Files::isDirectory)
          .map(f -> f.getFileName().toString())
          .filter(n -> !n.startsWith("switch_transformers"))
          .sorted()
          .toList();
    }
  }

  static Path families() throws URISyntaxException {
    return Path.of(Objects.requireNonNull(FamilyTest.class.getResource("/families")).toURI());
  }

  /** Without those whose text, when it grows, was read with other angles before. */
  static List<String> ofOneRotation() throws IOException, URISyntaxException {
    Set<String> others = Set.of("mixtral-dynamic", "phimoe-long", "phimoe-short");
    return settings().stream().filter(s -> !others.contains(s)).toList();
  }

  /** A model with what is expected of it. */
  private record Fixture(Decoder model, Safetensors expected) implements AutoCloseable {
    static Fixture open(String setting, DType dtype) throws URISyntaxException {
      Path folder = families().resolve(setting);
      Safetensors expected = Safetensors.open(folder.resolve("expected.safetensors"));
      Decoder model = HfCheckpoint.load(folder, Device.CPU, dtype).model();
      return new Fixture(model.withPrecision(dtype), expected);
    }

    Tensor read(String name) {
      return expected.load(name);
    }

    Tensor prompt(int i) {
      return read("prompt." + i).unsqueeze(0);
    }

    @Override
    public void close() {
      model.close();
      expected.close();
    }
  }

  private static void same(Tensor actual, Tensor wanted, double tolerance, String what) {
    float[] a = actual.toFloats();
    float[] w = wanted.toFloats();
    assertThat(a).as(what).hasSameSizeAs(w);
    double worst = 0;
    for (int i = 0; i < a.length; i++) {
      worst = Math.max(worst, Float.isNaN(a[i]) ? 1e9 : Math.abs(a[i] - w[i]));
    }
    assertThat(worst).as(what).isLessThanOrEqualTo(tolerance);
  }

  @ParameterizedTest
  @MethodSource("settings")
  void statesRoutesAndLogitsAreThoseOfTransformers(String setting) throws URISyntaxException {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open();
        Fixture f = Fixture.open(setting, DType.F32)) {
      assertThat(f.model.config().parameters().total())
          .isEqualTo(f.model.parameters().count(p -> true));
      for (int i = 0; i < 2; i++) {
        Tensor ids = f.prompt(i);
        List<Tensor> states = new ArrayList<>();
        DecoderOutput out = f.model.forward(ids, TokenContext.eval(1, ids.size(1)), states::add);
        if (i == 0) {
          states(f, states);
          routes(f, out);
        }
        Tensor logits = f.model.logits(out.hidden()).squeeze(0);
        same(logits, f.read("logits." + i), LOGITS, "logits of prompt " + i);
      }
    }
  }

  private static void states(Fixture f, List<Tensor> states) {
    for (int l = 0; l < states.size(); l++) {
      Tensor wanted = f.read("hidden." + l);
      // The stream grows from block to block, and its rounding with it.
      double size = Math.max(1, wanted.abs().max().item());
      same(states.get(l).squeeze(0), wanted, 2e-5 * size, "stream behind layer " + l);
    }
  }

  /** Experts in ascending order with their weights: their order among the k is nobody's promise. */
  private static void routes(Fixture f, DecoderOutput out) {
    int m = 0;
    for (MoeOutput layer : out.layers()) {
      String name = "route." + m++;
      if (!f.expected.names().contains(name + ".experts")) {
        continue;
      }
      TokenChoice choice = (TokenChoice) layer.routing();
      long[] experts = choice.experts().toLongs();
      float[] weights = choice.weights().toFloats();
      long[] wantedExperts = f.read(name + ".experts").toLongs();
      float[] wantedWeights = f.read(name + ".weights").toFloats();
      int k = choice.k();
      for (int t = 0; t < choice.tokens(); t++) {
        for (int j = 0; j < k; j++) {
          long expert = wantedExperts[t * k + j];
          float weight = 0;
          for (int c = 0; c < k; c++) {
            weight += experts[t * k + c] == expert ? weights[t * k + c] : 0;
          }
          assertThat(weight)
              .as("%s token %d expert %d", name, t, expert)
              .isCloseTo(wantedWeights[t * k + j], within(1e-4f));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("settings")
  void greedyTokensAreThoseOfTransformersWithAndWithoutCache(String setting)
      throws URISyntaxException {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open();
        Fixture f = Fixture.open(setting, DType.F32)) {
      for (int i = 0; i < 2; i++) {
        long[] wanted = f.read("greedy." + i).toLongs();
        Tensor ids = f.prompt(i);
        try (KvCache cache = f.model.newCache(1, (int) ids.size(1) + wanted.length)) {
          Tensor all = ids;
          Tensor next = ids;
          for (int n = 0; n < wanted.length; n++) {
            Tensor logits = f.model.decode(next, cache).squeeze(0);
            Tensor anew = whole(f.model, all);
            if (!f.model.config().attention().rope().dependsOnLength()) {
              same(logits, anew, 1e-4, "cache against none, token " + n);
            }
            assertThat(logits.argmax(-1, false).toLongs()[0])
                .as("token %d of prompt %d", n, i)
                .isEqualTo(wanted[n]);
            next = Tensor.of(new long[] {wanted[n]}, 1, 1);
            all = Tensor.cat(List.of(all, next), 1);
          }
        }
      }
    }
  }

  private static Tensor whole(Decoder model, Tensor ids) {
    Tensor hidden = model.forward(ids, TokenContext.eval(1, ids.size(1))).hidden();
    return model.logits(hidden).select(1, ids.size(1) - 1).squeeze(0);
  }

  @ParameterizedTest
  @MethodSource("ofOneRotation")
  void aPromptReadInPartsGivesTheSame(String setting) throws URISyntaxException {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open();
        Fixture f = Fixture.open(setting, DType.F32)) {
      Tensor ids = f.prompt(0);
      long n = ids.size(1);
      try (KvCache cache = f.model.newCache(1, (int) n)) {
        f.model.decode(ids.narrow(1, 0, 5), cache);
        f.model.decode(ids.narrow(1, 5, 1), cache);
        Tensor last = f.model.decode(ids.narrow(1, 6, n - 6), cache).squeeze(0);
        same(last, f.read("logits.0").select(0, n - 1), LOGITS, "last logits");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("settings")
  void promptsOfDifferentLengthArePaddedAtTheLeft(String setting) throws URISyntaxException {
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open();
        Fixture f = Fixture.open(setting, DType.F32)) {
      Tensor ids = f.read("batch.ids");
      Tensor real = f.read("batch.mask").to(DType.BOOL);
      long n = ids.size(1);
      TokenContext context = TokenContext.decode(2, n).withPadding(real.reshape(2 * n));
      try (KvCache cache = f.model.newCache(2, (int) n + 12)) {
        Tensor logits = f.model.decode(ids, cache, context);
        for (int b = 0; b < 2; b++) {
          Tensor own = f.read("logits." + b);
          same(logits.select(0, b), own.select(0, own.size(0) - 1), LOGITS, "row " + b);
        }
        goesOn(f, cache, logits);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("settings")
  void promptsSideBySideAreContinuedAsTransformersDoes(String setting) throws URISyntaxException {
    try (Fixture f = Fixture.open(setting, DType.F32)) {
      List<int[]> prompts = List.of(ids(f, "prompt.0"), ids(f, "prompt.1"));
      List<int[]> wanted = List.of(ids(f, "greedy.0"), ids(f, "greedy.1"));
      Generator generator = new Generator(f.model, Sampling.GREEDY, Set.of());
      assertThat(generator.generate(prompts, 12)).containsExactlyElementsOf(wanted);
      // The first row ends in the midst of the second.
      int stop = wanted.get(0)[4];
      List<int[]> cut = wanted.stream().map(w -> until(w, stop)).toList();
      assertThat(new Generator(f.model, Sampling.GREEDY, Set.of(stop)).generate(prompts, 12))
          .containsExactlyElementsOf(cut);
    }
  }

  private static int[] ids(Fixture f, String name) {
    try (Scope scope = Scope.open()) {
      return Arrays.stream(f.read(name).toLongs()).mapToInt(Math::toIntExact).toArray();
    }
  }

  private static int[] until(int[] tokens, int stop) {
    return Arrays.stream(tokens).takeWhile(t -> t != stop).toArray();
  }

  /** Both rows at once as each of them alone. */
  private static void goesOn(Fixture f, KvCache cache, Tensor first) {
    Tensor logits = first;
    long[][] wanted = {f.read("greedy.0").toLongs(), f.read("greedy.1").toLongs()};
    for (int t = 0; t < wanted[0].length; t++) {
      long[] next = logits.argmax(-1, false).toLongs();
      assertThat(next).as("token " + t).containsExactly(wanted[0][t], wanted[1][t]);
      if (t + 1 < wanted[0].length) {
        logits = f.model.decode(Tensor.of(next, 2, 1), cache);
      }
    }
  }
}
