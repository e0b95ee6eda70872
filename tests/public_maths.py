"""Rows of every public format of maths problems, with the fields of real ones and texts written for these tests."""

from __future__ import annotations

from typing import Any

TITLED = (
    "1. **Name the number:**\n   Let \\( n \\) be the number of pears.\n\n"
    "2. **Write the equation:**\n   1. Half of them are \\( n/2 \\).\n   2. So \\( n/2 = 12 \\).\n\n"
    "3. **Solve it:**\n   \\( n = 24 \\).\n\nThe final answer is \\( \\boxed{24} \\)."
)
"""A solution in the form of the paper's experts, with a list inside a step."""

ROWS: dict[str, dict[str, Any]] = {
    "gsm8k": {
        "question": "Ann has 3 bags of 4 pears and eats 2. How many are left?",
        "answer": "Ann has 3*4 = <<3*4=12>>12 pears.\nShe has 12-2 = <<12-2=10>>10 pears left.\n#### 10",
    },
    "s1k-1.1": {
        "question": "Half of the pears are 12. How many are there?",
        "solution": "24",
        "cot_type": "math",
        "source_type": "made up",
        "metadata": "{}",
        "gemini_attempt": "It is 24.",
        "gemini_grade": "Yes",
        "deepseek_thinking_trajectory": "Hm.",
        "deepseek_attempt": TITLED,
        "deepseek_grade": "Yes",
    },
    "s1k": {
        "question": "Show that a square is not negative.",
        "solution": "Either factor has the sign of the other.\nSo their product is positive, or zero.",
        "cot_type": "math",
        "source_type": "made up",
        "metadata": "{}",
        "cot": None,
        "thinking_trajectories": ["Hm."],
        "attempt": "1. First, take a number.\n2. Then square it.",
    },
    "s1k-plain": {
        "id": 0, "problem": "What is half of 24?", "solution": TITLED, "thinking": "", "source": "", "subject": "",
    },
    "math": {
        "problem": "What is $\\frac{1}{4}+\\frac{1}{4}$?",
        "level": "Level 1",
        "type": "Prealgebra",
        "solution": "It is two quarters.\n\nThat is $\\boxed{\\frac{1}{2}}$.",
    },
    "math-500": {
        "problem": "Find $x$ where $2x = 3$.",
        "solution": "We halve both sides: $x = \\boxed{\\frac32}$.",
        "answer": "\\frac32",
        "subject": "Algebra",
        "level": 1,
        "unique_id": "test/algebra/7.json",
    },
    "aime": {
        "id": 60,
        "problem": "Find the number of pears.",
        "solution": "There are $\\framebox{024}$.",
        "answer": "024",
        "url": "https://artofproblemsolving.com/wiki/index.php/2024_AIME_I_Problems/Problem_1",
        "question": "Find the number of pears.",
    },
    "aime-by-id": {"ID": "2024-II-4", "Problem": "Count them.", "Solution": "33", "Answer": 33},
    "amc": {
        "id": 0,
        "problem": "How far is it?",
        "answer": 27.0,
        "url": "https://artofproblemsolving.com/wiki/index.php/2023_AMC_12A_Problems/Problem_1",
    },
    "minerva": {
        "problem": "What is the luminosity?",
        "solution": "It is \\boxed{4.5e33} ergs a second.",
        "type": "Introduction to Astronomy (8.282J Spring 2006)",
        "idx": 1,
    },
    "olympiadbench": {
        "id": 1606,
        "subfield": "Algebra",
        "context": "Two numbers are meant.",
        "question": "Which are they?",
        "solution": ["They are 2 and 3.", "Another way is to try."],
        "final_answer": ["$2$, $3$"],
        "is_multiple_answer": True,
        "unit": None,
        "answer_type": "Numerical",
        "error": None,
    },
    "olympiadbench-near": {
        "id": 1607,
        "subfield": "Geometry",
        "context": None,
        "question": "How long is it?",
        "solution": ["About 3.14."],
        "final_answer": ["$3.14$"],
        "is_multiple_answer": False,
        "unit": "cm",
        "answer_type": "Numerical",
        "error": "1e-2",
    },
    "olympiadbench-proof": {
        "id": 1608,
        "subfield": "Number Theory",
        "question": "Prove it.",
        "solution": ["By induction."],
        "final_answer": None,
        "question_type": "Theorem proof",
    },
    "columns": {"question": "What is 6 times 7?", "answer": "42"},
}  # fmt: skip

SPLITS = dict.fromkeys(("gsm8k", "math", "columns"), "train")
"""For rows that do not say themselves."""
