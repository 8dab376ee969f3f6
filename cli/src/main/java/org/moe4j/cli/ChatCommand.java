package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.moe4j.models.Sampling;
import org.moe4j.models.chat.ChatTemplate;
import org.moe4j.train.Chat;
import org.moe4j.train.LanguageModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe chat}. */
@Command(
    name = "chat",
    description = {
      "Talk with a model in the form of its chat template.",
      "On a terminal: /help shows the commands, Ctrl-C stops an answer, Ctrl-D ends.",
      "Else every line of standard input is a message, and standard output carries the answers."
    },
    footer = {
      "  moe chat models/OLMoE-1B-7B-Instruct --system \"Answer in one sentence.\"",
      "  moe chat OLMoE-1B-7B-Instruct-Q4_0.gguf --temperature 0.7 --threads 2",
      "  echo \"What is a sparse model?\" | moe chat models/OLMoE-1B-7B-Instruct --max-tokens 200"
    })
final class ChatCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A model's folder or a GGUF file, with a chat template.")
  private Path model;

  @Option(names = "--system", paramLabel = "TEXT", description = "The system message.")
  private Optional<String> system = Optional.empty();

  @Mixin private SamplingOptions options;
  @Mixin private EngineFlags engine;
  @Mixin private Placement placement;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    try (Conversation chat = EngineFlags.serve(model) ? ofFile() : ofFolder(err);
        ChatLines lines = ChatLines.open()) {
      return new ChatLoop(chat, lines, out, err, options.maxTokens()).run();
    }
  }

  private Conversation ofFile() {
    placement.refuseFor(model);
    return GgufConversation.open(model, engine, system, options.engineSampling());
  }

  private Conversation ofFolder(PrintWriter err) {
    engine.refuseFor(model);
    Sampling sampling = options.sampling(model);
    int maxTokens = options.maxTokens();
    // Before the weights, which take longer.
    ChatTemplate template = Chat.template(model);
    try (LoadDisplay display = new LoadDisplay(err)) {
      LanguageModel language = LanguageModel.open(model, placement.loading(display));
      return new FolderConversation(new Chat(language, template, system), sampling, maxTokens);
    }
  }
}
