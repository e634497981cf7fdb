DROP TABLE budget_answers;
DROP TABLE budget_captures;
DROP TABLE budget_holds;
DROP TABLE budget_uses;
DROP TABLE budget_lines;
