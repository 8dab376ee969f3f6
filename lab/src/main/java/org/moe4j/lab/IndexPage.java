package org.moe4j.lab;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.train.report.Html;
import org.moe4j.train.report.Numbers;
import org.moe4j.train.report.Page;

/** All reports of a session in one table, each with a link to its page beside this one. */
public final class IndexPage {
  private IndexPage() {}

  /** Writes {@code file}, all or nothing; the pages are {@code S01.html} and so on. */
  public static void write(Path file, List<Report> reports) {
    AtomicFile.write(file, html(reports).getBytes(StandardCharsets.UTF_8));
  }

  /** The whole document. */
  static String html(List<Report> reports) {
    StringBuilder rows = new StringBuilder(2000);
    for (Report r : reports) {
      String id = r.experiment().id();
      rows.append("<tr><th scope=\"row\"><a href=\"")
          .append(id)
          .append(".html\">")
          .append(Html.escape(id + " " + r.experiment().system().name()))
          .append("</a></th>");
      Finding first = r.judgement().findings().getFirst();
      for (String cell :
          List.of(
              r.judgement().verdict().label(),
              r.experiment().claim(),
              first.criterion().metric().label() + ": " + Wording.found(first),
              Numbers.duration(r.results().seconds()))) {
        rows.append("<td>").append(Html.escape(cell)).append("</td>");
      }
      rows.append("</tr>\n");
    }
    long holding = reports.stream().filter(r -> r.judgement().verdict() == Verdict.HOLDS).count();
    String body =
        "<header><h1>The executable reading list</h1>\n<p>"
            + holding
            + " of "
            + reports.size()
            + " claims hold on this machine</p></header>\n<main>"
            + Html.section(
                "papers",
                "Papers",
                "Verdicts are computed from the runs; each page has its curves, its settings and the"
                    + " command that repeats it.",
                "<table class=\"plain\"><thead><tr><th>Paper</th><th>Verdict</th><th>Claim</th>"
                    + "<th>First finding</th><th>Time</th></tr></thead><tbody>"
                    + rows
                    + "</tbody></table>")
            + "</main>";
    return Page.document("Reading list", body, "{}", "");
  }
}
