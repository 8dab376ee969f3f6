package org.moe4j.lab;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import org.moe4j.ListedSystem;
import org.moe4j.ReadingList;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.train.report.Html;
import org.moe4j.train.report.Numbers;
import org.moe4j.train.report.Page;

/**
 * The reading list after a session: the experiments that ran, each with a link to its page beside
 * this one, and the papers that did not.
 */
public final class IndexPage {
  private static final String HOW =
      "Verdicts are computed from the runs; each page has the curves, the settings and the command"
          + " that repeats it. The effect is that of the part of the claim that decided, with its"
          + " standard deviation over seeds.";

  private IndexPage() {}

  /** Writes {@code file}, all or nothing; the pages are {@code S01.html} and so on. */
  public static void write(Path file, List<Attempt> attempts) {
    AtomicFile.write(file, html(attempts).getBytes(StandardCharsets.UTF_8));
  }

  /** The whole document. */
  static String html(List<Attempt> attempts) {
    String body =
        "<header><h1>The executable reading list</h1>\n<p>"
            + Html.escape(summary(attempts))
            + "</p></header>\n<main>"
            + Html.section("papers", "Experiments", HOW, experiments(attempts))
            + Html.section("others", "Papers that did not run", "", others(attempts))
            + "</main>";
    return Page.document("Reading list", body, "{}", "");
  }

  /** How many claims hold, in words: {@code 3 of 5 claims hold, 1 contradicts, 1 failed}. */
  public static String summary(List<Attempt> attempts) {
    List<String> parts = new ArrayList<>();
    parts.add(count(attempts, Verdict.HOLDS) + " of " + attempts.size() + " claims hold");
    long hidden = count(attempts, Verdict.DOES_NOT_SHOW);
    if (hidden > 0) {
      parts.add(hidden + (hidden == 1 ? " does" : " do") + " not show at this scale");
    }
    long against = count(attempts, Verdict.CONTRADICTS);
    if (against > 0) {
      parts.add(against + (against == 1 ? " contradicts" : " contradict"));
    }
    long failed = attempts.stream().filter(a -> a instanceof Attempt.Failed).count();
    if (failed > 0) {
      parts.add(failed + " failed");
    }
    return String.join(", ", parts);
  }

  private static long count(List<Attempt> attempts, Verdict verdict) {
    return attempts.stream()
        .filter(a -> a instanceof Attempt.Done d && d.report().judgement().verdict() == verdict)
        .count();
  }

  private static String experiments(List<Attempt> attempts) {
    StringBuilder rows = new StringBuilder(4000);
    for (Attempt attempt : attempts) {
      rows.append("<tr>")
          .append(
              switch (attempt) {
                case Attempt.Done done -> ran(done.report());
                case Attempt.Failed failed -> failed(failed);
              })
          .append("</tr>\n");
    }
    return Html.scrolling(
        "Experiments",
        "<table class=\"plain index\"><thead><tr><th>Paper</th><th>Verdict</th><th>Claim</th>"
            + "<th>Effect</th><th>Time</th></tr></thead><tbody>"
            + rows
            + "</tbody></table>");
  }

  private static String ran(Report report) {
    ListedSystem system = report.experiment().system();
    Verdict verdict = report.judgement().verdict();
    Finding deciding = report.judgement().deciding();
    return paper(system, "<a href=\"" + system.id() + ".html\">", "</a>")
        + "<td><b class=\""
        + ExperimentPage.style(verdict)
        + "\">"
        + Html.escape(verdict.label())
        + "</b></td>"
        + cell(report.experiment().claim())
        + "<td>"
        + Html.escape(Wording.outcome(deciding))
        + "<br><span class=\"ratio\">"
        + Html.escape(deciding.criterion().metric().label())
        + "</span></td>"
        + cell(Numbers.duration(report.results().seconds()));
  }

  private static String failed(Attempt.Failed failed) {
    return paper(failed.experiment().system(), "", "")
        + "<td><b class=\"verdict-contradicts\">failed</b></td>"
        + cell(failed.experiment().claim())
        + "<td colspan=\"2\">"
        + Html.escape(failed.reason())
        + "</td>";
  }

  private static String paper(ListedSystem system, String before, String behind) {
    return "<th scope=\"row\" class=\"wrap\">"
        + before
        + Html.escape(system.id() + " " + system.name())
        + behind
        + "</th>";
  }

  private static String cell(String text) {
    return "<td>" + Html.escape(text) + "</td>";
  }

  private static String others(List<Attempt> attempts) {
    Set<String> ran = attempts.stream().map(a -> a.experiment().id()).collect(Collectors.toSet());
    return ReadingList.systems().stream()
        .filter(s -> !ran.contains(s.id()))
        .map(
            s ->
                String.format(
                    Locale.ROOT,
                    "<tr><th scope=\"row\">%s</th><td>%s</td></tr>",
                    s.id(),
                    Html.escape(s.paper().title())))
        .collect(
            Collectors.collectingAndThen(
                Collectors.joining("\n"),
                rows ->
                    rows.isEmpty()
                        ? ""
                        : "<table class=\"plain\"><tbody>" + rows + "</tbody></table>"));
  }
}
