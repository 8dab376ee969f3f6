package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.train.metrics.MetricsWriter;

/** Training in a process of its own that is stopped, killed and starved. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "signals and limits are those of POSIX")
class InterruptedTrainingTest {
  private static final String ENDLESS = "train.steps=1000000";

  @TempDir Path folder;

  @BeforeEach
  void text() throws IOException {
    TrainCommandTest.corpus(folder);
  }

  private Path run() {
    return folder.resolve("runs/tiny");
  }

  private Child train(String... sets) throws IOException {
    String[] more = new String[2 * sets.length];
    for (int i = 0; i < sets.length; i++) {
      more[2 * i] = "--set";
      more[2 * i + 1] = sets[i];
    }
    return Child.start(folder, TrainCommandTest.tiny(folder, more));
  }

  @Test
  void controlCWritesACheckpointAndSaysHowToResume() throws Exception {
    for (String signal : List.of("INT", "TERM")) {
      String name = "run.name=" + signal;
      Path folderOfRun = folder.resolve("runs").resolve(signal);
      // No checkpoint but the one that the signal asks for.
      Child child = train(ENDLESS, name, "train.checkpoint-every=0");
      assertThat(child.makes(folderOfRun.resolve("metrics.jsonl"))).as(child.err()).isTrue();
      child.signal(signal);
      assertThat(child.status()).as(child.err()).isZero();
      assertThat(child.out()).contains("stopped after step", "moe train --resume " + folderOfRun);
      assertThat(folderOfRun.resolve("checkpoints/latest")).exists();
    }
    TrainCommandTest.Run resumed =
        TrainCommandTest.moe(
            "train", "--resume", folder.resolve("runs/INT").toString(), "--set", "train.steps=1");
    assertThat(resumed.status()).as(resumed.err()).isZero();
  }

  @Test
  void killedAtAnyMomentItEndsAsIfNothingHadHappened() throws Exception {
    String[] often = {"train.steps=40", "train.checkpoint-every=1"};
    assertThat(train(often[0], often[1], "run.name=whole").status()).isZero();
    SplittableRandom random = new SplittableRandom(5);
    Child child = train(often);
    assertThat(child.makes(run().resolve("metrics.jsonl"))).as(child.err()).isTrue();
    for (int i = 0; i < 4; i++) {
      if (!child.ends(random.nextInt(250))) {
        child.signal("KILL");
        child.status();
      }
      child = Child.start(folder, "train", "--resume", run().toString());
      assertThat(child.makes(run().resolve("checkpoints/latest"))).as(child.err()).isTrue();
    }
    assertThat(child.status()).as(child.err()).isZero();
    Path whole = folder.resolve("runs/whole");
    for (String file :
        List.of(
            "model/model.safetensors", "checkpoints/step-000040/trainer/optimizer.safetensors")) {
      assertThat(run().resolve(file)).hasSameBinaryContentAs(whole.resolve(file));
    }
    assertThat(losses(run())).isEqualTo(losses(whole)).hasSize(40);
    try (var left = Files.list(run().resolve("checkpoints"))) {
      assertThat(left.map(path -> path.getFileName().toString()).sorted())
          .containsExactly("latest", "step-000039", "step-000040");
    }
  }

  private static List<String> losses(Path run) {
    return MetricsWriter.read(run.resolve("metrics.jsonl")).stream()
        .map(line -> line.path("step") + " " + line.path("loss"))
        .toList();
  }

  /** A limit on the size of files fails a write in its middle, as a full disk does. */
  @Test
  void aWriteThatFailsIsOneLineAndTheOldCheckpointRemains() throws Exception {
    assertThat(TrainCommandTest.moe(TrainCommandTest.tiny(folder)).status()).isZero();
    Path old = run().resolve("checkpoints/step-000012");
    byte[] before = Files.readAllBytes(old.resolve("model.safetensors"));
    long blocks = before.length / 512L - 4;
    Child child =
        Child.start(
            List.of("sh", "-c", "ulimit -f " + blocks + "; exec \"$@\"", "sh"),
            folder,
            "train",
            "--resume",
            run().toString(),
            "--set",
            "train.steps=20");
    assertThat(child.status()).isEqualTo(1);
    assertThat(child.err().lines().filter(l -> l.startsWith("moe: ")).toList())
        .singleElement()
        .asString()
        .contains("runs/tiny", "File too large");
    assertThat(old.resolve("model.safetensors")).hasBinaryContent(before);
    try (var left = Files.list(run().resolve("checkpoints"))) {
      assertThat(left.map(path -> path.getFileName().toString()).sorted())
          .containsExactly("latest", "step-000008", "step-000012");
    }
    TrainCommandTest.Run resumed =
        TrainCommandTest.moe("train", "--resume", run().toString(), "--set", "train.steps=20");
    assertThat(resumed.status()).as(resumed.err()).isZero();
  }
}
