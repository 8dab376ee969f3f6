package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Locale;
import org.moe4j.lab.ArmResult;
import org.moe4j.lab.Finding;
import org.moe4j.lab.Report;
import org.moe4j.lab.Wording;

/** A report for a terminal. */
final class PaperText {
  private PaperText() {}

  static void print(PrintWriter out, Report report) {
    out.println(report.experiment().system().paper());
    out.println();
    out.println("claim    " + report.experiment().claim());
    out.println("verdict  " + report.judgement().verdict().label());
    for (Finding f : report.judgement().findings()) {
      out.println("  " + Wording.asked(f.criterion()) + "? " + f.verdict().label());
      out.println("    " + f.criterion().metric().label() + ": " + Wording.found(f));
      out.println("    " + Wording.rule(f));
    }
    out.println();
    for (ArmResult arm : report.results().arms()) {
      out.printf(
          Locale.ROOT,
          "%-18s %,9d parameters, %,9d active, %,9d FLOPs per token, %,d steps of %,d tokens%n",
          arm.name(),
          arm.cost().parameters(),
          arm.cost().active(),
          arm.cost().flops(),
          arm.steps(),
          arm.cost().tokensPerStep());
    }
    out.printf(Locale.ROOT, "%n%.0f s; again: %s%n", report.results().seconds(), report.command());
  }
}
