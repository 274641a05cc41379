#include "eval/ceval.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "eval/csv.h"

namespace gossamer {
namespace {

constexpr std::array<CevalSubject, 52> kSubjects = {{
    {"computer_network", "计算机网络", "STEM", false},
    {"operating_system", "操作系统", "STEM", false},
    {"computer_architecture", "计算机组成", "STEM", false},
    {"college_programming", "大学编程", "STEM", false},
    {"college_physics", "大学物理", "STEM", true},
    {"college_chemistry", "大学化学", "STEM", true},
    {"advanced_mathematics", "高等数学", "STEM", true},
    {"probability_and_statistics", "概率统计", "STEM", true},
    {"discrete_mathematics", "离散数学", "STEM", true},
    {"electrical_engineer", "注册电气工程师", "STEM", false},
    {"metrology_engineer", "注册计量师", "STEM", false},
    {"high_school_mathematics", "高中数学", "STEM", true},
    {"high_school_physics", "高中物理", "STEM", true},
    {"high_school_chemistry", "高中化学", "STEM", true},
    {"high_school_biology", "高中生物", "STEM", false},
    {"middle_school_mathematics", "初中数学", "STEM", false},
    {"middle_school_biology", "初中生物", "STEM", false},
    {"middle_school_physics", "初中物理", "STEM", false},
    {"middle_school_chemistry", "初中化学", "STEM", false},
    {"veterinary_medicine", "兽医学", "STEM", false},
    {"college_economics", "大学经济学", "Social Science", false},
    {"business_administration", "工商管理", "Social Science", false},
    {"marxism", "马克思主义基本原理", "Social Science", false},
    {"mao_zedong_thought", "毛泽东思想和中国特色社会主义理论体系概论", "Social Science", false},
    {"education_science", "教育学", "Social Science", false},
    {"teacher_qualification", "教师资格", "Social Science", false},
    {"high_school_politics", "高中政治", "Social Science", false},
    {"high_school_geography", "高中地理", "Social Science", false},
    {"middle_school_politics", "初中政治", "Social Science", false},
    {"middle_school_geography", "初中地理", "Social Science", false},
    {"modern_chinese_history", "近代史纲要", "Humanities", false},
    {"ideological_and_moral_cultivation", "思想道德修养与法律基础", "Humanities", false},
    {"logic", "逻辑学", "Humanities", false},
    {"law", "法学", "Humanities", false},
    {"chinese_language_and_literature", "中国语言文学", "Humanities", false},
    {"art_studies", "艺术学", "Humanities", false},
    {"professional_tour_guide", "导游资格", "Humanities", false},
    {"legal_professional", "法律职业资格", "Humanities", false},
    {"high_school_chinese", "高中语文", "Humanities", false},
    {"high_school_history", "高中历史", "Humanities", false},
    {"middle_school_history", "初中历史", "Humanities", false},
    {"civil_servant", "公务员", "Other", false},
    {"sports_science", "体育学", "Other", false},
    {"plant_protection", "植物保护", "Other", false},
    {"basic_medicine", "基础医学", "Other", false},
    {"clinical_medicine", "临床医学", "Other", false},
    {"urban_and_rural_planner", "注册城乡规划师", "Other", false},
    {"accountant", "注册会计师", "Other", false},
    {"fire_engineer", "注册消防工程师", "Other", false},
    {"environmental_impact_assessment_engineer", "环境影响评价工程师", "Other", false},
    {"tax_accountant", "税务师", "Other", false},
    {"physician", "医师资格", "Other", false},
}};

constexpr std::string_view kLetters = "ABCD";

// The questions of a file; what is wrong with the others goes to `complaints`.
std::vector<CevalQuestion> read_questions(const std::filesystem::path& file, bool needs_answers,
                                          bool& has_answers, std::vector<Complaint>& complaints) {
  const CsvTable table(file, {"id", "question", "A", "B", "C", "D"}, "answer");
  has_answers = table.has_optional();
  if (needs_answers && !has_answers)
    throw Error("{}: expected a column \"answer\" in the first line", row_location(file, 1));
  complaints.insert(complaints.end(), table.complaints().begin(), table.complaints().end());
  std::vector<CevalQuestion> questions;
  std::set<std::string> ids;
  for (const CsvRow& row : table.rows()) {
    CevalQuestion question{.id = row.fields[0],
                           .where = row_location(file, row.line),
                           .question = row.fields[1],
                           .choices = {row.fields[2], row.fields[3], row.fields[4], row.fields[5]},
                           .answer = has_answers ? row.fields[6] : ""};
    const bool answered = question.answer.size() == 1 && kLetters.find(question.answer[0]) != kLetters.npos;
    if (has_answers && !answered) {
      complaints.push_back(
          {question.where, fmt::format("answer: expected A, B, C or D, found \"{}\"", question.answer)});
    } else if (question.question.empty()) {
      complaints.push_back({question.where, "question: expected a text, found nothing"});
    } else if (question.id.empty() || !ids.insert(question.id).second) {
      complaints.push_back(
          {question.where, fmt::format("id: expected one of its own, found \"{}\"", question.id)});
    } else {
      questions.push_back(std::move(question));
    }
  }
  return questions;
}

std::string format_question(const CevalQuestion& question) {
  std::string text = question.question;
  for (std::size_t i = 0; i < kLetters.size(); ++i)
    text += fmt::format("\n{}. {}", kLetters[i], question.choices[i]);
  return text + "\n答案：";
}

std::vector<const CevalSubject*> chosen_subjects(const std::vector<std::string>& names) {
  std::vector<const CevalSubject*> chosen;
  for (const std::string& name : names) {
    if (std::none_of(kSubjects.begin(), kSubjects.end(),
                     [&](const CevalSubject& subject) { return subject.name == name; }))
      throw Error("--subjects: expected names such as computer_network, found \"{}\"", name);
  }
  for (const CevalSubject& subject : kSubjects) {
    if (names.empty() || std::find(names.begin(), names.end(), subject.name) != names.end())
      chosen.push_back(&subject);
  }
  return chosen;
}

}  // namespace

std::span<const CevalSubject> ceval_subjects() { return kSubjects; }

CevalData read_ceval(const std::filesystem::path& folder, const std::string& split, std::size_t num_examples,
                     const std::vector<std::string>& subjects) {
  CevalData data;
  std::size_t num_files = 0;
  for (const CevalSubject* subject : chosen_subjects(subjects)) {
    const auto file_of = [&](const std::string& part) {
      return folder / part / fmt::format("{}_{}.csv", subject->name, part);
    };
    const auto left_out = [&](const std::string& why) {
      data.missing.push_back(fmt::format("{}: {}: the subject is left out", subject->name, why));
    };
    if (!std::filesystem::exists(file_of(split))) {
      left_out(fmt::format("there is no {}", file_of(split).string()));
      continue;
    }
    ++num_files;
    CevalData::Subject read{.subject = subject};
    bool has_answers = true;
    try {
      if (num_examples > 0) {
        if (!std::filesystem::exists(file_of("dev"))) {
          left_out(fmt::format("there is no {}", file_of("dev").string()));
          continue;
        }
        read.examples = read_questions(file_of("dev"), /*needs_answers=*/true, has_answers, data.complaints);
        if (read.examples.size() < num_examples) {
          data.missing.push_back(fmt::format("{}: {} has {} usable examples of {}: it runs with those",
                                             subject->name, file_of("dev").string(), read.examples.size(),
                                             num_examples));
        }
        read.examples.resize(std::min(read.examples.size(), num_examples));
      }
      read.questions =
          read_questions(file_of(split), /*needs_answers=*/split != "test", has_answers, data.complaints);
    } catch (const Error& error) {
      left_out(error.what());
      continue;
    }
    data.has_answers = data.has_answers && has_answers;
    if (read.questions.empty()) {
      left_out(fmt::format("{} has no usable question", file_of(split).string()));
    } else {
      data.subjects.push_back(std::move(read));
    }
  }
  if (num_files == 0) {
    throw Error("{}: expected C-Eval's files as published, such as {}/computer_network_{}.csv",
                folder.string(), split, split);
  }
  return data;
}

std::string ceval_prompt(const CevalSubject& subject, std::span<const CevalQuestion> examples,
                         const CevalQuestion& question) {
  std::string prompt =
      fmt::format("以下是中国关于{}考试的单项选择题，请选出其中的正确答案。\n\n", subject.chinese);
  for (const CevalQuestion& example : examples) prompt += format_question(example) + example.answer + "\n\n";
  return prompt + format_question(question);
}

std::string ceval_chat_prompt(const CevalSubject& subject, const CevalQuestion& question) {
  std::string text = question.question;
  for (std::size_t i = 0; i < kLetters.size(); ++i)
    text += fmt::format("\n{}. {}", kLetters[i], question.choices[i]);
  return fmt::format(
      "以下是中国关于{}"
      "考试的单项选择题，请选出其中的正确答案，并在最后一行写出“答案：X”，X为A、B、C或D。\n\n{}",
      subject.chinese, text);
}

}  // namespace gossamer
