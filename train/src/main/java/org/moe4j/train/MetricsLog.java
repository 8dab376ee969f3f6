package org.moe4j.train;

import java.io.Closeable;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.moe4j.RoutingStats;
import org.moe4j.train.metrics.MetricsWriter;
import org.moe4j.train.metrics.TensorBoardWriter;

/**
 * Gathers steps until a line is due and writes it to {@code metrics.jsonl} and as TensorBoard
 * events. A line has, of the steps since the last one: {@code loss} and {@code balance} (means),
 * {@code lr} and {@code grad_norm} (of the last step), {@code tokens}, {@code tokens_per_s}, {@code
 * skipped}, {@code expert_load} (choices by [sparse layer][expert], before drops; empty where the
 * layers have more than 8,192 experts together), {@code imbalance} and {@code drop_rate} by layer;
 * and {@code val_loss}, {@code val_bpb} if the model was validated.
 */
final class MetricsLog implements Closeable {
  /** Loads of more experts would make every line megabytes, and no page shows them. */
  private static final int MOST_EXPERTS = 8192;

  private final MetricsWriter lines;
  private final TensorBoardWriter board;
  private final List<StepResult> since = new ArrayList<>();
  private List<RoutingStats> routing = List.of();

  /** Goes on after step {@code done}; lines of later steps are dropped. */
  MetricsLog(RunFolder folder, long done, InstantSource clock) {
    lines = MetricsWriter.open(folder.metrics(), done == 0 ? -1 : done);
    board = TensorBoardWriter.open(folder.tensorboard(), done + 1, clock);
  }

  void add(StepResult result) {
    since.add(result);
    if (routing.isEmpty()) {
      routing = result.routing();
    } else {
      List<RoutingStats> sum = new ArrayList<>();
      for (int i = 0; i < routing.size(); i++) {
        sum.add(routing.get(i).plus(result.routing().get(i)));
      }
      routing = sum;
    }
  }

  /** Writes what was gathered, if anything, as the line of {@code step}. */
  void write(long step, Optional<Trainer.Validation> validation) {
    Map<String, Object> line = new LinkedHashMap<>();
    Map<String, Double> scalars = new LinkedHashMap<>();
    if (!since.isEmpty()) {
      steps(line, scalars);
    }
    validation.ifPresent(
        v -> {
          line.put("val_loss", v.loss());
          line.put("val_bpb", v.bitsPerByte());
          scalars.put("validation/loss", v.loss());
          scalars.put("validation/bits_per_byte", v.bitsPerByte());
        });
    if (!line.isEmpty()) {
      lines.write(step, line);
      board.write(step, scalars);
    }
    since.clear();
    routing = List.of();
  }

  private void steps(Map<String, Object> line, Map<String, Double> scalars) {
    StepResult last = since.getLast();
    double loss = since.stream().mapToDouble(StepResult::loss).average().orElse(0);
    long tokens = since.stream().mapToLong(StepResult::tokens).sum();
    double speed = tokens / since.stream().mapToDouble(StepResult::seconds).sum();
    Map<String, Double> balance = new LinkedHashMap<>();
    for (StepResult step : since) {
      step.balance().forEach((name, v) -> balance.merge(name, v / since.size(), Double::sum));
    }
    line.put("loss", loss);
    line.put("balance", balance);
    line.put("lr", last.learningRate());
    line.put("grad_norm", last.gradientNorm());
    line.put("tokens", tokens);
    line.put("tokens_per_s", speed);
    line.put("skipped", since.stream().filter(StepResult::skipped).count());
    line.put(
        "expert_load",
        routing.stream().mapToInt(RoutingStats::experts).sum() <= MOST_EXPERTS
            ? routing.stream().map(r -> Arrays.stream(r.asked()).boxed().toList()).toList()
            : List.of());
    line.put("imbalance", routing.stream().map(RoutingStats::imbalance).toList());
    line.put("drop_rate", routing.stream().map(RoutingStats::dropRate).toList());
    scalars.put("train/loss", loss);
    balance.forEach((name, v) -> scalars.put("balance/" + name, v));
    scalars.put("train/learning_rate", last.learningRate());
    scalars.put("train/gradient_norm", last.gradientNorm());
    scalars.put("train/tokens_per_s", speed);
    for (int i = 0; i < routing.size(); i++) {
      scalars.put("moe/imbalance_" + i, routing.get(i).imbalance());
      scalars.put("moe/confidence_" + i, routing.get(i).confidence());
    }
  }

  @Override
  public void close() {
    try (board) {
      lines.close();
    }
  }
}
