package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.models.Sampling;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.train.config.TrainingConfig;
import org.moe4j.train.metrics.MetricsWriter;

class TrainingRunTest {
  private static final BooleanSupplier NEVER = () -> false;

  @TempDir Path folder;

  @BeforeEach
  void text() throws IOException {
    Tiny.corpus(folder);
  }

  /** Counts steps; its own stop signal after some of them. */
  private static final class StopAfter implements TrainingListener, BooleanSupplier {
    private final long step;
    private long seen;

    private StopAfter(long step) {
      this.step = step;
    }

    @Override
    public void step(StepResult result) {
      seen = result.step();
    }

    @Override
    public boolean getAsBoolean() {
      return seen >= step;
    }
  }

  private TrainingRun.Outcome start(String... overrides) {
    return TrainingRun.start(Tiny.config(folder, overrides), TrainingListener.SILENT, NEVER);
  }

  private TrainingRun.Outcome stopped(long step, String... overrides) {
    StopAfter stop = new StopAfter(step);
    return TrainingRun.start(Tiny.config(folder, overrides), stop, stop);
  }

  private static TrainingRun.Outcome resume(Path run, String... overrides) {
    return TrainingRun.resume(run, List.of(overrides), TrainingListener.SILENT, NEVER);
  }

  /** What has to be equal of every metrics line: all but the times. */
  private static List<String> lines(Path run) {
    List<String> lines = new ArrayList<>();
    MetricsWriter.read(run.resolve("metrics.jsonl"))
        .forEach(
            line ->
                lines.add(
                    line.path("step")
                        + " "
                        + line.path("loss")
                        + line.path("balance")
                        + line.path("lr")
                        + line.path("grad_norm")
                        + line.path("expert_load")
                        + line.path("val_bpb")));
    return lines;
  }

  @Test
  void aRunLeavesAModelItsFiguresAndItsCheckpoints() {
    TrainingRun.Outcome outcome = start("train.validate-every=10", "train.log-every=4");
    Path run = folder.resolve("runs/tiny");
    Summary summary = outcome.summary().orElseThrow();
    assertThat(outcome.folder()).isEqualTo(run);
    assertThat(summary.steps()).isEqualTo(20);
    assertThat(summary.tokens()).isEqualTo(20 * 4 * 16);
    assertThat(summary.samples()).hasSize(3).allMatch(s -> s.prompt().endsWith(":"));
    assertThat(summary.order2Bpb()).isLessThan(summary.order0Bpb());
    assertThat(summary.paramsActive()).isLessThan(summary.paramsTotal());
    Json json = Json.read(run.resolve("summary.json"));
    assertThat(json.number("val_bpb")).isEqualTo(summary.valBpb());
    assertThat(json.whole("params_total")).isEqualTo(summary.paramsTotal());
    assertThat(lines(run))
        .extracting(line -> line.substring(0, line.indexOf(' ')))
        .containsExactly("4", "5", "8", "10", "12", "15", "16", "20");
    assertThat(Json.read(run.resolve("model/moe4j.json")).node().toString())
        .contains("\"paper\":\"S34\"", "\"chooser\":\"token\"");
    assertThat(run.resolve("report.html")).isNotEmptyFile();
    assertThat(run.resolve("routing.json")).isNotEmptyFile();
    assertThat(new RunFolder(run).checkpoints().all()).hasSize(2);
    assertThat(TrainingRun.unfinished(folder.resolve("runs"))).isEmpty();
    try (LanguageModel model = LanguageModel.open(run, Device.CPU)) {
      String prompt = summary.samples().getFirst().prompt();
      StringBuilder streamed = new StringBuilder();
      LanguageModel.Continuation cached =
          model.generate(prompt, 30, Sampling.GREEDY, streamed::append);
      assertThat(cached).isEqualTo(model.generateUncached(prompt, 30, part -> {}));
      assertThat(cached.tokens()).isPositive();
      assertThat(streamed).hasToString(cached.text());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "moe.router=noisy-top-k",
        // State of two kinds: a selection bias and a balance coefficient.
        "moe.router=loss-free moe.losses.adaptive-mean-gate-square=0.01"
      })
  void stoppedAndResumedIsTheSameAsNeverStopped(String router) throws IOException {
    String[] noisy =
        with(router.split(" ", -1), "train.validate-every=4", "train.checkpoint-every=6");
    TrainingRun.Outcome whole = start(with(noisy, "run.name=whole"));
    TrainingRun.Outcome half = stopped(10, with(noisy, "run.name=parted"));
    assertThat(half.summary()).isEmpty();
    assertThat(half.steps()).isEqualTo(10);
    assertThat(TrainingRun.unfinished(folder.resolve("runs"))).contains(half.folder());
    TrainingRun.Outcome rest = resume(half.folder());
    assertThat(lines(rest.folder())).isEqualTo(lines(whole.folder()));
    for (String file : List.of("model.safetensors", "trainer/optimizer.safetensors")) {
      assertThat(rest.checkpoint().orElseThrow().resolve(file))
          .hasSameBinaryContentAs(whole.checkpoint().orElseThrow().resolve(file));
    }
    assertThat(rest.summary().orElseThrow().valBpb())
        .isEqualTo(whole.summary().orElseThrow().valBpb());
  }

  private static String[] with(String[] some, String... more) {
    List<String> all = new ArrayList<>(List.of(some));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  @Test
  void aRunWithoutACheckpointResumesFromItsBeginning() {
    Path run = stopped(3).folder();
    Folders.delete(run.resolve("checkpoints"));
    TrainingRun.Outcome rest = resume(run);
    assertThat(lines(run)).hasSize(20);
    TrainingRun.Outcome whole = start("run.name=whole");
    assertThat(lines(run)).isEqualTo(lines(whole.folder()));
    assertThat(rest.summary().orElseThrow().valBpb())
        .isEqualTo(whole.summary().orElseThrow().valBpb());
  }

  @Test
  void aFolderThatHoldsARunIsRefusedUntouched() {
    Path run = stopped(2).folder();
    List<String> before = lines(run);
    assertRefused(() -> start(), "runs/tiny", "holds a run already", "--resume");
    assertThat(lines(run)).isEqualTo(before);
  }

  @Test
  void aFolderInUseIsRefused() {
    Path run = stopped(2).folder();
    try (RunLock lock = RunLock.acquire(run)) {
      assertRefused(() -> resume(run), "runs/tiny", "in use");
    }
  }

  @Test
  void badTextLeavesNothingBehind() throws IOException {
    Files.writeString(folder.resolve("empty.txt"), "");
    Files.write(folder.resolve("latin1.txt"), new byte[] {'a', (byte) 0xe9, 'b', '\n'});
    Files.writeString(folder.resolve("rows.jsonl"), "{\"body\": \"a text\"}\n");
    for (String file : List.of("missing.txt", "empty.txt", "latin1.txt", "rows.jsonl")) {
      assertRefused(() -> start("data.source=" + folder.resolve(file)), file);
    }
    assertRefused(() -> start("data.tokenizer=" + folder.resolve("no.json")), "no.json");
    assertRefused(() -> start("data.sequence-length=100000"), "too few");
    assertThat(folder.resolve("runs/tiny")).doesNotExist();
  }

  @Test
  void anotherTextIsNoticed() throws IOException {
    Path run = stopped(2).folder();
    Files.writeString(
        folder.resolve("corpus.txt"), "\n\none more: a text\n\n", StandardOpenOption.APPEND);
    assertRefused(() -> resume(run), "step-000002", "another text", "corpus.txt");
  }

  @Test
  void aCheckpointOfAnotherShapeIsRefused() {
    Path run = stopped(2).folder();
    assertRefused(() -> resume(run, "model.hidden=32"), "step-000002", "another shape");
    assertRefused(() -> resume(run, "moe.experts=8"), "step-000002", "another shape");
    assertRefused(() -> resume(run, "model.layers=3"), "step-000002", "another shape");
    assertThat(resume(run).summary()).isPresent();
  }

  @Test
  void aDamagedCheckpointIsRefusedInOneLine() throws IOException {
    Path run = stopped(2).folder();
    Path checkpoint = run.resolve("checkpoints/step-000002");
    for (String file :
        List.of(
            "model.safetensors",
            "trainer/optimizer.safetensors",
            "trainer/state.json",
            "config.json")) {
      Path damaged = checkpoint.resolve(file);
      byte[] whole = Files.readAllBytes(damaged);
      for (int cut : new int[] {0, 5, whole.length / 2}) {
        try (FileChannel channel = FileChannel.open(damaged, StandardOpenOption.WRITE)) {
          channel.truncate(cut);
        }
        assertRefused(() -> resume(run), damaged.getFileName().toString());
        Files.write(damaged, whole);
      }
    }
    assertThat(resume(run).summary()).isPresent();
  }

  @Test
  void impossibleConfigurationsAreToldBeforeAnythingIsMade() {
    assertRefused(() -> start("moe.router=softmax-topk"), "softmax-topk", "softmax-top-k");
    assertRefused(() -> start("moe.router=switch", "moe.top-k=2"), "switch", "top-k");
    assertRefused(() -> start("moe.options.jitterr=1"), "jitterr", "jitter");
    assertRefused(() -> start("moe.router=noisy-top-k", "moe.scale=2"), "scale", "noisy-top-k");
    assertThat(folder.resolve("runs/tiny")).doesNotExist();
  }

  @Test
  void everyDispatcherRouterAndPlacementTrains() {
    String[][] variants = {
      {"moe.dispatcher=capacity", "moe.capacity-factor=1.0"},
      {"moe.dispatcher=einsum", "moe.shared-experts=1", "moe.renormalise=before-drop"},
      {"moe.router=switch", "moe.top-k=1", "model.placement=every-other"},
      {
        "moe.router=st-moe",
        "moe.dispatcher=capacity",
        "moe.capacity-policy=mesh",
        "moe.group-size=32",
        "moe.options.threshold=0.3"
      },
      {"moe.router=gshard-top-2", "model.placement=first-dense", "model.norm=layernorm"},
      {"moe.router=sigmoid-top-k", "moe.activation=relu", "model.tie-embeddings=false"},
      {"model.placement=none", "model.qk-norm=false"},
      {"model.dtype=bf16", "train.precision=bf16"},
    };
    for (int i = 0; i < variants.length; i++) {
      TrainingConfig config =
          Tiny.config(folder, with(variants[i], "run.name=v" + i, "train.steps=4"));
      StopAfter half = new StopAfter(2);
      Path run = TrainingRun.start(config, half, half).folder();
      Summary summary = resume(run).summary().orElseThrow();
      assertThat(summary.skippedSteps()).as(String.join(" ", variants[i])).isZero();
      LanguageModel.open(run, Device.CPU).close();
    }
  }

  private static void assertRefused(Runnable attempt, String... words) {
    assertThatThrownBy(attempt::run)
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll(words)
        .hasMessageNotContaining("\n");
  }
}
