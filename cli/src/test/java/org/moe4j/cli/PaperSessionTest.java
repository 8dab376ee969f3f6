package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.lab.Arm;
import org.moe4j.lab.Attempt;
import org.moe4j.lab.Bench;
import org.moe4j.lab.Cost;
import org.moe4j.lab.Criterion;
import org.moe4j.lab.Experiment;
import org.moe4j.lab.Laboratory;
import org.moe4j.lab.Measurement;
import org.moe4j.lab.Metric;
import org.moe4j.lab.Report;
import org.moe4j.lab.Trial;
import org.moe4j.lab.Workload;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;

/** Sessions of experiments that train nothing. */
class PaperSessionTest {
  private static final Bench BENCH = new Bench(Device.CPU);

  @TempDir private Path folder;
  private final StringWriter err = new StringWriter();
  private int steps;

  private static final class Constant implements Workload {
    private final double loss;

    Constant(double loss) {
      this.loss = loss;
    }

    @Override
    public Cost cost(Bench bench) {
      return new Cost(1, 1, 1, 1);
    }

    @Override
    public Trial start(Bench bench, long seed, int steps) {
      return new Trial() {
        @Override
        public double step() {
          return loss;
        }

        @Override
        public Measurement finish() {
          if (loss < 0) {
            throw new MoeException("the loss is negative");
          }
          return Measurement.of(Map.of(Metric.LOSS.key(), loss));
        }

        @Override
        public void close() {}
      };
    }
  }

  private static Experiment experiment(String id, double loss) {
    return Experiment.of(
        id,
        "Ours is better.",
        "",
        List.of(
            Arm.of("ours", "ours", new Constant(loss)),
            Arm.of("theirs", "theirs", new Constant(2))),
        List.of(Criterion.better("ours", "theirs", Metric.LOSS, 0.1, 0.01)),
        Set.of());
  }

  /** A session that is asked to stop at this step of all. */
  private PaperSession session(int stopAt) {
    PrintWriter lines = new PrintWriter(err, true);
    PaperDisplay display = new PaperDisplay(lines, false);
    Laboratory laboratory = new Laboratory(BENCH, display, () -> ++steps == stopAt);
    return new PaperSession(
        e ->
            Report.of(e, laboratory.run(e, new Laboratory.Options(1, 1, OptionalInt.of(2))), "cpu"),
        Optional.of(folder),
        display,
        lines);
  }

  @Test
  void oneThatFailsDoesNotStopTheOthers() throws Exception {
    PaperSession session = session(-1);
    List<Experiment> three =
        List.of(experiment("S01", 1), experiment("S05", -1), experiment("S06", 3));
    assertThat(session.run(three)).isTrue();
    assertThat(session.attempts())
        .extracting(a -> a.getClass().getSimpleName())
        .containsExactly("Done", "Failed", "Done");
    assertThat(session.attempts().get(1))
        .isEqualTo(new Attempt.Failed(three.get(1), "the loss is negative"));
    assertThat(err.toString()).contains("moe: S05 failed: the loss is negative", "S06 (3 of 3)");
    assertThat(Files.readString(folder.resolve("index.html")))
        .contains("1 of 3 claims hold, 1 contradicts, 1 failed", "S01.html", "S06.html")
        .doesNotContain("S05.html");
    assertThat(folder.toFile().list()).containsOnly("index.html", "S01.html", "S06.html");
  }

  @Test
  void whoStopsItKeepsWholePages() throws Exception {
    PaperSession session = session(6);
    assertThat(session.run(List.of(experiment("S01", 1), experiment("S05", 1)))).isFalse();
    assertThat(session.attempts()).hasSize(1);
    assertThat(folder.toFile().list()).containsOnly("index.html", "S01.html");
    assertThat(Files.readString(folder.resolve("index.html"))).contains("</html>");
    assertThat(Report.json(session.attempts())).startsWith("[").contains("\"holds\"");
  }
}
