package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.moe4j.ListedSystem;
import org.moe4j.ReadingList;
import org.moe4j.lab.papers.Experiments;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ObjectNode;

/** {@code moe paper list}. */
@Command(
    name = "list",
    description = {
      "List the sixty papers and whether an experiment of each runs here.",
      "runs: in a minute or two; needs-gpu: with --device cuda; planned: not yet."
    },
    footer = "  moe paper list --json")
final class PaperListCommand implements Callable<Integer> {
  @Option(names = "--json", description = "Print the papers as one JSON array.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      Documents.printArray(out, ReadingList.systems(), PaperListCommand::write);
      return Moe.DONE;
    }
    for (ListedSystem s : ReadingList.systems()) {
      String title = s.paper().title();
      out.printf("%s  %-9s  %s%n", s.id(), Experiments.state(s.id()), title);
    }
    return Moe.DONE;
  }

  private static void write(ListedSystem s, ObjectNode json) {
    json.put("id", s.id())
        .put("title", s.paper().title())
        .put("state", Experiments.state(s.id()))
        .put("name", s.name())
        .put("arxiv", s.paper().arxiv())
        .put("year", s.paper().year())
        .put("institution", s.paper().institution());
    Experiments.find(s.id()).ifPresent(e -> json.put("claim", e.claim()));
  }
}
