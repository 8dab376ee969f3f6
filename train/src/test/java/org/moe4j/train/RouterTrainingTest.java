package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.MoeConfig;
import org.moe4j.RouterEntry;
import org.moe4j.RouterRegistry;
import org.moe4j.Validity;
import org.moe4j.models.Decoder;
import org.moe4j.models.Sampling;
import org.moe4j.models.hf.HfCheckpoint;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.data.Sampler;
import org.moe4j.train.data.SamplerState;

/** Every router of the registry trains a small language model by its name. */
class RouterTrainingTest {
  private static final int STEPS = 50;

  @TempDir static Path folder;

  private static Path text = Path.of("");
  private static Optional<Corpus> read = Optional.empty();

  /** Settings of routers that the usual ones (8 experts, top-2) do not suit. */
  private static final Map<String, List<String>> SETTINGS =
      Map.of(
          // A hidden width of 16 can be halved four times.
          "mone", List.of("moe.experts=4", "moe.top-k=1"),
          "peer", List.of("moe.experts=64", "moe.top-k=4", "moe.options.heads=2"),
          "pkm", List.of("moe.experts=64", "moe.top-k=4", "moe.options.heads=2"));

  @BeforeAll
  static void text() throws IOException {
    Ops.threads(1);
    Path plain = Tiny.corpus(folder);
    List<String> lines = new ArrayList<>();
    for (String document : Files.readString(plain).strip().split("\n\n", -1)) {
      String kind = document.substring(document.lastIndexOf(' ') + 1);
      lines.add("{\"text\": \"" + document + "\", \"kind\": \"" + kind + "\"}");
    }
    text = Files.write(folder.resolve("corpus.jsonl"), lines);
    read =
        Optional.of(
            Corpus.read(
                config("softmax-top-k"),
                folder.resolve("tokenizer.json"),
                TrainingListener.SILENT));
  }

  @AfterAll
  static void threads() {
    Ops.threads(Runtime.getRuntime().availableProcessors());
  }

  private static Corpus corpus() {
    return read.orElseThrow();
  }

  static List<String> causal() {
    return RouterRegistry.entries().stream()
        .filter(e -> e.causality().decodes())
        .map(RouterEntry::name)
        .toList();
  }

  static List<String> lookingAround() {
    return RouterRegistry.entries().stream()
        .filter(e -> !e.causality().decodes())
        .map(RouterEntry::name)
        .toList();
  }

  private static TrainingConfig config(String router) {
    List<String> settings = new ArrayList<>();
    settings.add("data.source=" + text);
    settings.add("data.domain-field=kind");
    settings.add("moe.router=" + router);
    settings.add("moe.experts=8");
    settings.add("train.steps=" + STEPS);
    settings.addAll(SETTINGS.getOrDefault(router, List.of()));
    return Tiny.config(folder, settings.toArray(String[]::new));
  }

  private static TinyTraining training(String router) {
    return TinyTraining.of(config(router), corpus());
  }

  /** The mean loss of the last five of {@code steps} steps. */
  private static double lossAfter(TinyTraining t, int steps) {
    double sum = 0;
    for (int i = 1; i <= steps; i++) {
      StepResult step = t.trainer().step();
      assertThat(step.skipped()).isFalse();
      sum += i > steps - 5 ? step.loss() / Math.min(steps, 5) : 0;
    }
    return sum;
  }

  private static double validation(TinyTraining t) {
    return t.trainer().validate(corpus().validation()).loss();
  }

  @ParameterizedTest
  @MethodSource("causal")
  void aCausalRouterLearnsAndItsCheckpointIsTheSameModel(String router) throws IOException {
    Path saved = Files.createDirectories(folder.resolve(router));
    double trained;
    try (TinyTraining m = training(router)) {
      double first = lossAfter(m, 1);
      assertThat(lossAfter(m, STEPS - 1)).isLessThan(0.75 * first);
      trained = validation(m);
      assertThat(trained).isLessThan(0.8 * first);
      LanguageModel language = language(m.model());
      String prompt = "small cat";
      assertThat(language.generate(prompt, 12, Sampling.GREEDY, part -> {}))
          .isEqualTo(language.generateUncached(prompt, 12, part -> {}));
      HfCheckpoint.save(saved, m.model(), HfCheckpoint.SaveOptions.DEFAULT);
    }
    try (TinyTraining fresh = training(router);
        Decoder loaded = HfCheckpoint.load(saved).model()) {
      Trainer other = new Trainer(loaded, config(router).train(), sampler(), new RandomSource(3));
      assertThat(other.validate(corpus().validation()).loss()).isCloseTo(trained, within(1e-6));
      assertThat(validation(fresh)).isNotCloseTo(trained, within(1e-3));
      other.close();
    }
  }

  private static Sampler sampler() {
    return new Sampler(corpus().dataset().train(), 4, 16, SamplerState.start(1));
  }

  private static LanguageModel language(Decoder model) {
    return new LanguageModel(model, corpus().tokenizer(), Set.of());
  }

  @ParameterizedTest
  @MethodSource("lookingAround")
  void aRouterThatLooksAroundTrainsOnlyWhereLeaksAreAllowed(String router) {
    int vocab = corpus().tokenizer().vocabSize();
    MoeConfig moe =
        ModelPlan.of(config(router), vocab).feedForward().getFirst().sparse().orElseThrow();
    assertThatThrownBy(() -> Validity.check(moe, Validity.Use.CAUSAL_TRAINING, false))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining(router)
        .hasMessageContaining("causal training");
    assertThat(Validity.check(moe, Validity.Use.CAUSAL_TRAINING, true)).isNotEmpty();
    try (TinyTraining m = training(router)) {
      double first = lossAfter(m, 1);
      assertThat(lossAfter(m, STEPS - 1)).isLessThan(0.75 * first);
    }
  }
}
