package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
import org.moe4j.ListedSystem;
import org.moe4j.RouterEntry;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe list}. */
@Command(
    name = "list",
    description = {
      "List the sixty systems of the reading list, their routers and balance losses.",
      "With names: what is known of each."
    },
    footer = {
      "  moe list                            all systems, all balance losses",
      "  moe list S06 noisy-top-k            a system, a router with its options",
      "  moe list --routers                  every router with its options",
      "  moe list --matrix --where chooser=expert --where state=built"
    })
final class ListCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "NAME",
      arity = "0..*",
      description = "Numbers or names of systems, names of routers or balance losses.")
  private List<String> names = List.of();

  @Option(names = "--routers", description = "Show the routers with their options instead.")
  private boolean routers;

  @Option(names = "--matrix", description = "Show the twelve taxonomy values of each system.")
  private boolean matrix;

  @Option(
      names = "--where",
      paramLabel = "KEY=VALUE",
      converter = Condition.Reader.class,
      description = {
        "Only what has this value: state=built, causal=yes or a column of --matrix,",
        "for example \"gate=sigmoid\"; several must all hold."
      })
  private List<Condition> conditions = List.of();

  @Option(names = "--json", description = "Print the systems as one JSON array.")
  private boolean json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    Catalogue all = Catalogue.all();
    Catalogue asked = names.isEmpty() ? all : all.named(names);
    List<ListedSystem> systems =
        asked.systemsInvolved().stream()
            .filter(s -> conditions.stream().allMatch(c -> c.holds(s)))
            .toList();
    List<RouterEntry> shown =
        asked.routersInvolved().stream()
            .filter(r -> conditions.stream().allMatch(c -> c.holds(r)))
            .toList();
    CatalogueText text = new CatalogueText(out);
    if (json) {
      Documents.printArray(out, systems, CatalogueJson::write);
    } else if (routers ? shown.isEmpty() : systems.isEmpty()) {
      out.println(routers ? "no router is like this" : "no system is like this");
    } else if (routers) {
      text.routers(shown);
    } else if (matrix) {
      MatrixText.print(out, systems);
    } else if (names.isEmpty()) {
      overview(text, systems, out);
    } else {
      asked.systems().forEach(text::details);
      asked.routers().forEach(text::details);
      asked.losses().forEach(text::details);
    }
    return Moe.DONE;
  }

  private void overview(CatalogueText text, List<ListedSystem> systems, PrintWriter out) {
    text.systems(systems);
    if (conditions.isEmpty()) {
      out.println();
      text.losses(Catalogue.all().losses());
    }
    out.println();
    out.println("More: moe list NAME, moe list --routers, moe list --matrix (moe list --help)");
  }
}
