package org.moe4j.cli;

import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * The command {@code moe}: picks the subcommand, runs it and turns its end into an exit status.
 *
 * <p>0: done. 1: failed, one line on standard error says why and what to do ({@code --debug} adds
 * the stack trace). 2: wrong usage, the line names the nearest subcommand or option.
 */
@Command(
    name = "moe",
    description = "Train, run and study Mixture-of-Experts language models.",
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT,
    versionProvider = Version.class,
    usageHelpWidth = 100,
    synopsisSubcommandLabel = "COMMAND",
    descriptionHeading = "%n",
    parameterListHeading = "%n",
    optionListHeading = "%nOptions:%n",
    commandListHeading = "%nCommands:%n",
    footerHeading = "%nExamples:%n",
    footer = "  moe COMMAND --help   what a command does and takes, with examples")
public final class Moe implements Callable<Integer> {
  static final int DONE = 0;
  static final int FAILED = 1;
  static final int WRONG_USAGE = 2;
  static final int STOPPED = 130;

  /** Every subcommand, in the order of the help. */
  static final List<Class<?>> COMMANDS =
      List.of(
          TrainCommand.class,
          ReportCommand.class,
          GenerateCommand.class,
          ChatCommand.class,
          LogitsCommand.class,
          InspectCommand.class,
          PlanCommand.class,
          ConvertCommand.class,
          RouteCommand.class,
          ListCommand.class,
          PaperCommand.class,
          BenchCommand.class);

  @Option(
      names = "--debug",
      scope = ScopeType.INHERIT,
      description = "After a failure, print the stack trace too.")
  private boolean debug;

  @Spec private CommandSpec spec;

  private Moe() {}

  /** Runs one command line and ends the process with its exit status. */
  public static void main(String[] args) {
    System.exit(run(COMMANDS, StandardStreams.out(), StandardStreams.err(), args));
  }

  /** Runs one command line over {@code commands} and returns its exit status. */
  static int run(List<Class<?>> commands, PrintWriter out, PrintWriter err, String... args) {
    Moe moe = new Moe();
    try {
      int status = moe.prepared(commands, args).setOut(out).setErr(err).execute(args);
      out.flush();
      return status;
    } catch (Throwable failure) {
      return moe.report(failure, err);
    } finally {
      err.flush();
    }
  }

  /** The whole command line over {@code commands}, for looking at. */
  static CommandLine commandLine(List<Class<?>> commands) {
    return new Moe().prepared(commands);
  }

  /**
   * Reading a command's options takes most of the start-up time, so a command line that begins with
   * a known subcommand gets that one alone; help and mistakes get all.
   */
  private CommandLine prepared(List<Class<?>> commands, String... args) {
    CommandLine line = new CommandLine(this);
    Optional<Class<?>> named =
        Arrays.stream(args)
            .filter(arg -> !arg.equals("--debug"))
            .findFirst()
            .flatMap(first -> commands.stream().filter(c -> name(c).equals(first)).findFirst());
    for (Class<?> command : named.map(List::<Class<?>>of).orElse(commands)) {
      line.addSubcommand(command);
    }
    // A prompt may begin with @, and an argument may look like a quoted one.
    return line.setExpandAtFiles(false)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler((e, ignored) -> wrongUsage(e))
        .setExecutionExceptionHandler((e, at, ignored) -> report(e, at.getErr()));
  }

  static String name(Class<?> command) {
    return command.getAnnotation(Command.class).name();
  }

  /** Without a subcommand: wrong usage, answered with the help. */
  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getErr());
    return WRONG_USAGE;
  }

  private static int wrongUsage(ParameterException e) {
    CommandLine at = e.getCommandLine();
    String problem =
        e instanceof UnmatchedArgumentException unmatched
            ? unmatched(unmatched, at.getSubcommands().isEmpty())
            : Failure.oneLine(e.getMessage());
    String command = at.getCommandSpec().qualifiedName();
    at.getErr().println("moe: " + problem + " (see " + command + " --help)");
    return WRONG_USAGE;
  }

  private static String unmatched(UnmatchedArgumentException e, boolean leaf) {
    String kind = e.isUnknownOption() ? "option" : leaf ? "argument" : "command";
    String problem = "unknown " + kind + " '" + e.getUnmatched().getFirst() + "'";
    return e.getSuggestions().isEmpty()
        ? problem
        : problem + "; did you mean " + e.getSuggestions().getFirst() + "?";
  }

  private int report(Throwable failure, PrintWriter err) {
    if (failure instanceof StandardStreams.OutputLost lost && lost.readerGone()) {
      return DONE;
    }
    err.println("moe: " + Failure.describe(failure));
    if (debug) {
      failure.printStackTrace(err);
    }
    return FAILED;
  }
}
