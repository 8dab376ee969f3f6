package org.moe4j.train.report;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.moe4j.tensor.AtomicFile;

/**
 * The page {@code report.html} of a run: one file that needs no network, made from what the run's
 * folder holds. A run that was killed early, or still goes on, has a page of what there is.
 */
public final class Report {
  private static final String NAME = "report.html";

  private Report() {}

  /**
   * Writes the report of the run in {@code runDir} into that folder, all or nothing.
   *
   * <p>It reads config.toml, metrics.jsonl, summary.json and routing.json. A line of metrics.jsonl
   * has {@code step}, and where measured {@code loss} (nats per token), {@code lr}, {@code
   * grad_norm}, {@code tokens_per_s}, {@code val_loss} (nats per token), {@code val_bpb}, {@code
   * balance} (an object of loss terms by name) and {@code expert_load} [sparse layers][experts],
   * the tokens each expert was given since the line before. summary.json has {@code val_bpb},
   * {@code baseline_order0_bpb}, {@code baseline_order2_bpb}, {@code tokens_per_s}, {@code
   * seconds}, {@code params_total}, {@code params_active} and {@code samples}, a list of objects
   * with {@code prompt} and {@code text}, its continuation. routing.json is {@link RoutingTable}'s.
   *
   * @return the file
   * @throws org.moe4j.tensor.MoeException when {@code runDir} is no run folder, or the file cannot
   *     be written
   */
  public static Path write(Path runDir) {
    RunFolder run = RunFolder.read(runDir);
    String page = Page.html(run.name(), Sections.html(run), ChartData.json(run), "report.js");
    Path file = runDir.resolve(NAME);
    AtomicFile.write(file, page.getBytes(StandardCharsets.UTF_8));
    return file;
  }
}
